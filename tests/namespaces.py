"""Networks of a test's own: namespaces, links between them, packets that are dropped. All is gone at the end."""

import contextlib
import itertools
import os
import subprocess

import pytest

# Chromium without its windows: they cost more than all that is tested in it
CHROMIUM = "/usr/lib/chromium/chromium-headless-shell"
numbers = itertools.count()


def run(*command, **more):
    return subprocess.run(command, check=True, capture_output=True, text=True, **more)


class Namespace:
    """A network namespace with nothing but loopback at first. No other process has one of this name, wherever it runs."""

    def __init__(self, name):
        self.name = f"porthole-{os.getpid()}-{next(numbers)}-{name}"
        self.prefix = ["ip", "netns", "exec", self.name]

    def __enter__(self):
        run("ip", "netns", "add", self.name)
        self.ip("link", "set", "lo", "up")
        return self

    def __exit__(self, *_):
        subprocess.run(["ip", "netns", "del", self.name], capture_output=True, check=False)

    def run(self, *command, **more):
        return run(*self.prefix, *command, **more)

    def ip(self, *command):
        return run("ip", "-n", self.name, *command).stdout

    def link(self, name, other, others_name=None):
        """A cable to another namespace, where its end has the same name unless it is told otherwise; both ends are up."""
        self.ip("link", "add", name, "type", "veth", "peer", "name", others_name or name, "netns", other.name)
        self.ip("link", "set", name, "up")
        other.ip("link", "set", others_name or name, "up")

    def filter(self, rules):
        self.run("nft", "-f", "-", input=rules)

    def drop(self, rule, hook="input"):
        """Drops the packets that an nftables expression matches."""
        self.filter(f"table inet t{next(numbers)} {{\n chain c {{\n type filter hook {hook} priority 0;\n {rule} drop\n }}\n}}\n")

    def chromium(self, folder):
        """The executable of a browser inside of it."""
        executable = folder / f"chromium-{self.name}"
        executable.write_text(f'#!/bin/sh\nexec {" ".join(self.prefix)} {CHROMIUM} "$@"\n')
        executable.chmod(0o755)
        return str(executable)


@contextlib.contextmanager
def named(*names):
    """A namespace for each of these names."""
    if os.geteuid() != 0:
        pytest.skip("needs root to make network namespaces")
    with contextlib.ExitStack() as made:
        yield [made.enter_context(Namespace(name)) for name in names]


def namespaces(count):
    """So many namespaces with nothing but loopback."""
    return named(*map(str, range(count)))


@contextlib.contextmanager
def linked(first="10.77.42.1", second="10.77.42.2", link="wire0"):
    """Two namespaces with a link between them."""
    with namespaces(2) as (a, b):
        a.link(link, b)
        for namespace, address in ((a, first), (b, second)):
            namespace.ip("address", "add", f"{address}/24", "dev", link)
        yield a, b
