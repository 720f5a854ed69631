"""Networks of a test's own: namespaces, links between them, packets that are dropped. All is gone at the end."""

import contextlib
import itertools
import os
import subprocess

import pytest

numbers = itertools.count()


def run(*command, **more):
    return subprocess.run(command, check=True, capture_output=True, text=True, **more)


class Namespace:
    def __init__(self, name):
        self.name = name
        self.prefix = ["ip", "netns", "exec", name]

    def run(self, *command, **more):
        return run(*self.prefix, *command, **more)

    def drop(self, rule, hook="input"):
        """Drops the packets that an nftables expression matches."""
        self.run("nft", "-f", "-", input=f"table inet t{next(numbers)} {{\n chain c {{\n type filter hook {hook} priority 0;\n {rule} drop\n }}\n}}\n")


@contextlib.contextmanager
def namespaces(count):
    """So many namespaces with nothing but loopback."""
    if os.geteuid() != 0:
        pytest.skip("needs root to make network namespaces")
    made = [Namespace(f"porthole-{os.getpid()}-{next(numbers)}") for _ in range(count)]
    try:
        for namespace in made:
            run("ip", "netns", "add", namespace.name)
            run("ip", "-n", namespace.name, "link", "set", "lo", "up")
        yield made
    finally:
        for namespace in made:
            subprocess.run(["ip", "netns", "del", namespace.name], capture_output=True, check=False)


@contextlib.contextmanager
def linked(first="10.77.42.1", second="10.77.42.2", link="wire0"):
    """Two namespaces with a link between them."""
    with namespaces(2) as (a, b):
        run("ip", "-n", a.name, "link", "add", link, "type", "veth", "peer", "name", link, "netns", b.name)
        for namespace, address in ((a, first), (b, second)):
            run("ip", "-n", namespace.name, "address", "add", f"{address}/24", "dev", link)
            run("ip", "-n", namespace.name, "link", "set", link, "up")
        yield a, b
