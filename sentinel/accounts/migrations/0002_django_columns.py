from pathlib import Path

from django.db import migrations, models

SQL = Path(__file__).with_name("sql")


def read(name: str) -> str:
    return (SQL / f"0002_{name}.sql").read_text(encoding="utf-8")


class Migration(migrations.Migration):
    """Columns and tables of Django's user model: a transaction for each table that others write."""

    atomic = False

    dependencies = [
        ("accounts", "0001_legacy"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("admin", "0003_logentry_add_action_flag_choices"),  # its log's foreign key, see the SQL
    ]

    operations = [
        migrations.RunSQL(
            sql=read("django_columns"),
            reverse_sql=read("django_columns_reverse"),
            state_operations=[
                migrations.AddField(
                    model_name="user",
                    name="last_login",
                    field=models.DateTimeField(blank=True, null=True, verbose_name="last login"),
                ),
                migrations.AddField(
                    model_name="user",
                    name="is_superuser",
                    field=models.BooleanField(
                        db_default=False,
                        default=False,
                        help_text="Has every permission without being given it.",
                        verbose_name="superuser status",
                    ),
                ),
                migrations.AddField(
                    model_name="user",
                    name="is_staff",
                    field=models.BooleanField(
                        db_default=False,
                        default=False,
                        help_text="May log in to this admin.",
                        verbose_name="staff status",
                    ),
                ),
                migrations.AddField(
                    model_name="user",
                    name="groups",
                    field=models.ManyToManyField(
                        blank=True,
                        help_text=(
                            "The groups this user belongs to. A user will get all permissions "
                            "granted to each of their groups."
                        ),
                        related_name="user_set",
                        related_query_name="user",
                        to="auth.group",
                        verbose_name="groups",
                    ),
                ),
                migrations.AddField(
                    model_name="user",
                    name="user_permissions",
                    field=models.ManyToManyField(
                        blank=True,
                        help_text="Specific permissions for this user.",
                        related_name="user_set",
                        related_query_name="user",
                        to="auth.permission",
                        verbose_name="user permissions",
                    ),
                ),
            ],
        ),
        migrations.RunSQL(sql=read("groups"), reverse_sql=migrations.RunSQL.noop),
        migrations.RunSQL(sql=read("permissions"), reverse_sql=migrations.RunSQL.noop),
        migrations.RunSQL(sql=read("admin_log"), reverse_sql=migrations.RunSQL.noop),
    ]
