from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("jobs", "0016_password_reset")]

    operations = [
        migrations.RenameField("job", "takes", "unfinished_steps"),
        migrations.RenameField("endpoint", "sight", "observed"),
    ]
