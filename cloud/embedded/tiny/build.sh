#!/bin/bash
# Builds the tiny guest image from Debian packages: kernel + busybox, self-booting, 16 MiB, DHCP, config drive, ACPI.
#   build.sh OUTDIR       -> OUTDIR/tiny.qcow2; the kernel's package is kept in OUTDIR/kernel
# Needs busybox-static cpio syslinux syslinux-common mtools dosfstools e2fsprogs fdisk kmod qemu-utils, no root and no
# loop device; the network for the kernel alone. What the guest does is in rootfs/etc/rc.
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
OUT=$1
WORK=$(mktemp -d "${TMPDIR:-/tmp}/kilonova-tiny.XXXXXX")
trap 'rm -rf "$WORK"' EXIT
export PATH=$PATH:/usr/sbin:/sbin

fetch_kernel() { # a cloud kernel: small, virtio, no firmware
    local package
    mkdir -p "$OUT/kernel"
    if ! ls "$OUT"/kernel/linux-image-*.deb >/dev/null 2>&1; then
        package=$(apt-cache depends linux-image-cloud-amd64 | awk '/Depends: linux-image/{print $2; exit}')
        [ -n "$package" ] || { echo "apt knows no linux-image-cloud-amd64: run apt-get update"; exit 1; }
        mkdir "$WORK/download"
        (cd "$WORK/download" && apt-get -o APT::Sandbox::User=root download "$package")
        mv "$WORK"/download/linux-image-*.deb "$OUT/kernel/"
    fi
    dpkg-deb -x "$OUT"/kernel/linux-image-*.deb "$WORK/kernel"
    KVERSION=$(ls "$WORK/kernel/lib/modules")
}

# Modules lie flat, listed in load order: insmod one by one is faster than modprobe under software emulation.
copy_modules() {
    local stage name file
    mkdir -p "$ROOTFS/lib/modules"
    depmod -b "$WORK/kernel" "$KVERSION"
    : >"$WORK/seen"
    for stage in early late; do
        sed -n "s/^$stage //p" "$HERE/modules.txt" | while read -r name; do
            modprobe -d "$WORK/kernel" -S "$KVERSION" --show-depends "$name" | awk '/^insmod/{print $2}'
        done | awk '!seen[$0]++' | while read -r file; do
            ! grep -qxF "$file" "$WORK/seen" || continue
            echo "$file" >>"$WORK/seen"
            cp "$file" "$ROOTFS/lib/modules/"
            basename "$file"
        done >"$ROOTFS/lib/modules/$stage"
    done
}

make_initramfs() {
    local applet
    ROOTFS=$WORK/rootfs
    mkdir -p "$ROOTFS"/{bin,sbin,proc,sys,dev,tmp,run,root,data,mnt/config,var/log}
    cp -r "$HERE/rootfs/." "$ROOTFS/"
    chmod 755 "$ROOTFS/etc/rc" "$ROOTFS/etc/agent" "$ROOTFS/etc/acpi/PWRF/00000080" "$ROOTFS/usr/share/udhcpc/default.script"
    cp /bin/busybox "$ROOTFS/bin/busybox"
    for applet in $(/bin/busybox --list); do
        [ "$applet" = busybox ] || ln -s busybox "$ROOTFS/bin/$applet"
    done
    ln -s ../bin/busybox "$ROOTFS/sbin/init"
    ln -s sbin/init "$ROOTFS/init"
    copy_modules
    (cd "$ROOTFS" && find . | LC_ALL=C sort | cpio -o -H newc -R 0:0 --quiet) | gzip -n -9 >"$WORK/initrd.gz"
}

# MBR, a FAT partition with syslinux, kernel and initramfs, and a small ext4 partition that keeps state.
make_disk() {
    local raw=$WORK/disk.raw fat=$WORK/fat.img boot=2048 boot_size=45056 data data_size=16384 # sectors: 22 and 8 MiB
    data=$((boot + boot_size))
    truncate -s $(((data + data_size) * 512)) "$raw"
    printf 'label: dos\nstart=%s,size=%s,type=e,bootable\nstart=%s,size=%s,type=83\n' \
        $boot $boot_size $data $data_size | sfdisk -q "$raw"
    dd if=/usr/lib/syslinux/mbr/mbr.bin of="$raw" conv=notrunc bs=440 count=1 status=none
    truncate -s $((boot_size * 512)) "$fat"
    mkfs.vfat -F 16 -n TINYBOOT -h $boot "$fat" >/dev/null
    MTOOLS_SKIP_CHECK=1 mcopy -i "$fat" "$WORK/kernel/boot/vmlinuz-$KVERSION" ::vmlinuz
    MTOOLS_SKIP_CHECK=1 mcopy -i "$fat" "$WORK/initrd.gz" "$HERE/syslinux.cfg" ::
    syslinux --install "$fat"
    dd if="$fat" of="$raw" bs=512 seek=$boot conv=notrunc,sparse status=none
    mke2fs -q -t ext4 -O ^has_journal -L tinydata -E offset=$((data * 512)) "$raw" $((data_size / 2))k
    qemu-img convert -f raw -O qcow2 -o compat=1.1 "$raw" "$OUT/tiny.qcow2.new"
    mv "$OUT/tiny.qcow2.new" "$OUT/tiny.qcow2" # whole or not at all
}

mkdir -p "$OUT"
fetch_kernel
make_initramfs
make_disk
qemu-img info "$OUT/tiny.qcow2"
