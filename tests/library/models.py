"""Counters of every form that the engine knows and production does not use.

A condition, two counters over one child, two parents with a counter of the same name, a parent that
may be NULL, a key that is text, and names that need quotes.
"""

from django.db import models
from django.db.models import Q

from sentinel.counters import Counter


class Shelf(models.Model):
    name = models.TextField()
    books_count = models.IntegerField(default=0, db_default=0)
    old_books_count = models.IntegerField(null=True, db_default=0)
    lent_books_count = models.BigIntegerField(default=0, db_default=0)
    changed_at = models.DateTimeField(null=True)


class Reader(models.Model):
    name = models.TextField()
    books_count = models.IntegerField(default=0, db_default=0)


class Book(models.Model):
    shelf = models.ForeignKey(Shelf, on_delete=models.CASCADE, null=True)
    title = models.TextField(db_default="")
    is_lent = models.BooleanField(db_default=False)
    reader = models.ForeignKey(Reader, on_delete=models.SET_NULL, null=True)

    class Meta:
        triggers = (
            *Counter(
                column="books_count",
                foreign_key="shelf",
                mirrors=("old_books_count",),
                touches=("changed_at",),
            ).triggers(),
            *Counter(
                column="lent_books_count", foreign_key="shelf", condition=Q(is_lent=True)
            ).triggers(),
            *Counter(
                column="books_count", foreign_key="reader", name="reader_books_count"
            ).triggers(),
        )


class Writer(models.Model):
    name = models.CharField(max_length=50, primary_key=True)
    works = models.IntegerField(default=0, db_default=0, db_column="Number of works")

    class Meta:
        db_table = "The Writers' guild"


class Work(models.Model):
    writer = models.ForeignKey(Writer, on_delete=models.CASCADE, db_column="Written by")
    title = models.TextField(db_default="")
    draft = models.BooleanField(db_default=False)

    class Meta:
        db_table = "Works {of} art"
        triggers = Counter(
            column="works",
            foreign_key="writer",
            condition=~Q(title__startswith="%'") & Q(draft=False),
            lock_first=True,
        ).triggers()
