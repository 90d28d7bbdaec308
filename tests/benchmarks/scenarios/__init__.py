"""What is measured: a module for each group of lines of the table, with a function `measure`."""

SCENARIOS = (
    "limit_checks",
    "itineraries",
    "inserts",
    "orm_inserts",
    "writers",
    "changes",
    "audits",
    "repairs",
    "usage",
    "views",
    "imports",
    "archives",
    "dashboards",
)
