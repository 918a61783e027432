# One image for every role: API, conductors, beat, Flower, compute workers. docker-compose.yml says who runs what.

FROM python:3.11-slim-bookworm AS build

# libvirt-python is built for exactly the libvirt of the image.
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev pkg-config libvirt-dev \
    && rm -rf /var/lib/apt/lists/*
RUN python -m venv /opt/kilonova
COPY requirements.txt ./
COPY requirements/compute.txt requirements/
RUN /opt/kilonova/bin/pip install --no-cache-dir --disable-pip-version-check \
    -r requirements.txt "libvirt-python==$(pkg-config --modversion libvirt)"


FROM python:3.11-slim-bookworm

# libvirt's client library talks to the host's libvirtd; qemu-img makes disks; the last two, tunnels between hosts.
RUN apt-get update \
    && apt-get install -y --no-install-recommends libvirt0 qemu-utils iproute2 iptables \
    && rm -rf /var/lib/apt/lists/*
# The image store is a volume: a fresh one takes its owner from here.
RUN useradd --system --uid 10001 --home-dir /srv/kilonova --shell /usr/sbin/nologin kilonova \
    && install -d -o kilonova -g kilonova -m 0700 /var/lib/kilonova/images
COPY --from=build /opt/kilonova /opt/kilonova
COPY . /srv/kilonova

ENV PATH=/opt/kilonova/bin:$PATH \
    LANG=C.UTF-8 \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    STATIC_ROOT=/opt/static
# No DJANGO_SETTINGS_MODULE: with it in its environment, a compute worker would load Django.
# Whatever the umask of the checkout was.
RUN chmod -R a+rX,go-w /srv/kilonova && python -m compileall -q /srv/kilonova
WORKDIR /srv/kilonova
# The files of the admin console. Settings want secrets to load; these two stay in this command.
RUN SECRET_KEY=build HOST_KEYS_SECRET=build python manage.py collectstatic --no-input -v 0
# Compute workers alone need root (docker-compose.yml): they make files for QEMU's user and talk to the system's libvirt.
USER kilonova
CMD ["gunicorn", "cloud.wsgi:application", "-c", "cloud/gunicorn.py"]
