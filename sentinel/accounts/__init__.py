"""The company's customers: their accounts, plans and monthly chat usage."""
