"""Systems for another processor, run by this machine: QEMU's user mode, known to the kernel within a namespace only."""

import os
import pathlib
import shutil
import subprocess

from relay import eventually
from test_packages import CACHE, Debian, mirror

IDS = 65536  # users and groups, the same inside as outside


class Emulation:
    """A user and mount namespace in which programs of `processor` (QEMU's name) start like any other."""

    def __init__(self, processor):
        self.processor = processor

    def __enter__(self):
        self.holder = subprocess.Popen(["unshare", "--user", "--mount", "--propagation", "private", "sleep", "infinity"])
        home = pathlib.Path(f"/proc/{self.holder.pid}")
        own = os.readlink("/proc/self/ns/user")
        eventually(lambda: (home / "comm").read_text().strip() == "sleep" and os.readlink(home / "ns/user") != own, 5, "the namespace")
        for kind in ("uid_map", "gid_map"):
            (home / kind).write_text(f"0 0 {IDS}\n")
        self.prefix = ["nsenter", "--user", "--mount", "--target", str(self.holder.pid)]
        known = pathlib.Path(f"/usr/lib/binfmt.d/qemu-{self.processor}.conf").read_text()
        self.run("mount", "-t", "binfmt_misc", "none", "/proc/sys/fs/binfmt_misc")
        self.run("tee", "/proc/sys/fs/binfmt_misc/register", input=known.splitlines()[0])
        return self

    def __exit__(self, *_):
        self.holder.kill()
        self.holder.wait()

    def run(self, *command, **more):
        return subprocess.run([*self.prefix, *map(str, command)], check=True, capture_output=True, text=True, **more)


class ForeignDebian(Debian):
    """`root` is a system for another processor."""

    def __init__(self, root, emulation):
        super().__init__(root)
        self.emulation = emulation
        emulation.run("mount", "--rbind", "/proc", root / "proc")

    def run(self, *command):
        return super().run(*command, prefix=self.emulation.prefix)


def debian_base(architecture, emulation):
    """A small Debian for it, made once."""
    site, codename = mirror()
    base = CACHE / f"debian-{codename}-{architecture}"
    if not base.exists():
        making = CACHE / f"debian-{codename}-{architecture}.{os.getpid()}"
        try:
            subprocess.run(["debootstrap", f"--arch={architecture}", "--foreign", "--variant=minbase", codename, making, site], check=True, capture_output=True)
            # a namespace may not make devices
            for name, numbers in {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9), "tty": (5, 0), "console": (5, 1), "ptmx": (5, 2)}.items():
                if not (making / "dev" / name).exists():
                    os.mknod(making / "dev" / name, 0o020666, os.makedev(*numbers))
            emulation.run("mount", "--rbind", "/proc", making / "proc")
            # debootstrap tries whether it may
            shim = making / "usr/local/sbin/mknod"
            shim.parent.mkdir(parents=True, exist_ok=True)
            shim.write_text('#!/bin/sh\n: >"$1"\n')
            shim.chmod(0o755)
            environment = {"PATH": "/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive", "HOME": "/"}
            emulation.run("chroot", making, "/debootstrap/debootstrap", "--second-stage", env=environment)
            subprocess.run([*emulation.prefix, "umount", "--recursive", making / "proc"], capture_output=True, check=False)  # if it is still there
            shim.unlink()
            making.rename(base)
        finally:
            shutil.rmtree(making, ignore_errors=True)
    return base
