"""Networks over several hosts: a VNI for each, which hosts have it, and where a port is moving to."""

import django.db.models.deletion
from django.db import migrations, models

import cloud.networks.addressing


def number_networks(apps, schema_editor):
    """Gives each network that is there a VNI, and a row for each host that has ports of it."""
    Network = apps.get_model("networks", "Network")
    NetworkHost = apps.get_model("networks", "NetworkHost")
    Port = apps.get_model("networks", "Port")
    taken = set()
    for network in Network.objects.filter(vni=None):
        vni = cloud.networks.addressing.random_vni()
        while vni in taken:
            vni = cloud.networks.addressing.random_vni()
        taken.add(vni)
        hosts = set(Port.objects.filter(network=network).exclude(binding_host="").values_list("binding_host", flat=True))
        # The addresses of the hosts are not known here: the sweep of this room fills them in.
        NetworkHost.objects.bulk_create(NetworkHost(network=network, host=host) for host in sorted(hosts))
        Network.objects.filter(pk=network.pk).update(vni=vni)


class Migration(migrations.Migration):
    dependencies = [("networks", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="NetworkHost",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("host", models.CharField(max_length=255)),
                ("address", models.CharField(blank=True, max_length=64)),
                ("told", models.PositiveBigIntegerField(default=0)),
                (
                    "network",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="hosts", to="networks.network"
                    ),
                ),
            ],
        ),
        migrations.AddConstraint(
            model_name="networkhost",
            constraint=models.UniqueConstraint(fields=("network", "host"), name="one_row_per_network_and_host"),
        ),
        migrations.AddField(
            model_name="network",
            name="reach_version",
            field=models.PositiveBigIntegerField(default=0, editable=False),
        ),
        migrations.AddField(
            model_name="port", name="moving_to", field=models.CharField(blank=True, max_length=255)
        ),
        migrations.AddField(model_name="network", name="vni", field=models.PositiveIntegerField(editable=False, null=True)),
        migrations.AlterField(
            model_name="network",
            name="mtu",
            field=models.PositiveIntegerField(default=cloud.networks.addressing.default_mtu),
        ),
        migrations.RunPython(number_networks, migrations.RunPython.noop),
    ]
