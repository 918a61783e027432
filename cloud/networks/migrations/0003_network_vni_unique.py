"""The VNI of a network is unique and never missing: apart from 0002, for PostgreSQL changes no table with open events."""

from django.db import migrations, models

import cloud.networks.addressing


class Migration(migrations.Migration):
    dependencies = [("networks", "0002_network_over_hosts")]

    operations = [
        migrations.AlterField(
            model_name="network",
            name="vni",
            field=models.PositiveIntegerField(
                default=cloud.networks.addressing.random_vni, editable=False, unique=True
            ),
        ),
    ]
