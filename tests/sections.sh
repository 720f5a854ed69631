# What tests/run and tests/one have in common: what they install, and how each section of the checks is run.
# shellcheck shell=bash
export DEBIAN_FRONTEND=noninteractive PATH="$HOME/.cargo/bin:$PATH"
# nobody debugs these binaries, and they build in half the time
export CARGO_PROFILE_DEV_DEBUG=0

packages=(
  binutils build-essential busybox-static chromium chromium-headless-shell coturn cpio curl debootstrap faketime fdisk ffmpeg iproute2 libnss3-tools mtools nftables nginx-light openssl
  python3 python3-venv qemu-system-arm shellcheck socat systemd util-linux xz-utils
  gir1.2-gst-plugins-bad-1.0 gir1.2-gst-plugins-base-1.0 gstreamer1.0-libav gstreamer1.0-nice
  gstreamer1.0-plugins-bad gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-ugly
  gstreamer1.0-tools fonts-dejavu-core
  python3-gi python3-gst-1.0
)
cargo_deny=0.20.2
# outside of the working copy, so that another one does not build it again
cargo_deny_root="${XDG_CACHE_HOME:-$HOME/.cache}/porthole-tests/cargo-deny-$cargo_deny"
# any node from 18 on will do, wherever it comes from
command -v node >/dev/null && command -v npm >/dev/null || packages+=(nodejs npm)

heading() { printf '\n==== %s\n' "$*"; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo --preserve-env=DEBIAN_FRONTEND "$@"; fi
}

install_packages() {
  local missing=() package
  for package in "${packages[@]}"; do
    [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)" = installed ] || missing+=("$package")
  done
  if [ "${#missing[@]}" -gt 0 ]; then
    echo "installing ${missing[*]}"
    as_root apt-get update --quiet --quiet
    as_root apt-get install --quiet --quiet --yes --no-install-recommends "${missing[@]}"
    # Debian starts what it installs; tests start a TURN server of their own
    if [[ " ${missing[*]} " == *" coturn "* ]] && [ -d /run/systemd/system ]; then as_root systemctl disable --quiet --now coturn; fi
  else
    echo "all ${#packages[@]} there"
  fi
}

rust_is_there() {
  command -v cargo >/dev/null || { echo "cargo is missing: install Rust from https://rustup.rs" >&2; return 1; }
}

python_environment() {
  local stamp=tests/.venv/requirements.installed
  if ! cmp --silent tests/requirements.txt "$stamp"; then
    rm -rf tests/.venv
    /usr/bin/python3 -m venv tests/.venv
    tests/.venv/bin/pip install --quiet --requirement tests/requirements.txt
    cp tests/requirements.txt "$stamp"
  fi
  tests/.venv/bin/python --version
}

node_packages() {
  local stamp=tests/node_modules/lock.installed
  if ! cmp --silent tests/package-lock.json "$stamp"; then
    (cd tests && npm ci --no-audit --no-fund --ignore-scripts)
    cp tests/package-lock.json "$stamp"
  fi
  node --version
}

fmt() { cargo fmt --check; }

# in the profile of the unit tests, which has most of it built already
clippy() {
  cargo clippy --locked --quiet --all-targets -- -D warnings &&
    cargo clippy --locked --quiet --no-default-features --features minimal -- -D warnings
}

unit() { cargo test --locked --quiet "$@"; }

build() { cargo build --release --locked; }

deny() {
  if [ "${PORTHOLE_TEST_DENY:-1}" = 0 ]; then
    echo "left out by PORTHOLE_TEST_DENY=0"
    return
  fi
  if ! "$cargo_deny_root/bin/cargo-deny" --version >/dev/null 2>&1; then
    # unoptimized, because building it takes longer than what it has to do
    CARGO_TARGET_DIR=$cargo_deny_root/target cargo install cargo-deny --debug --locked --quiet --version "$cargo_deny" --root "$cargo_deny_root" || return
    rm -rf "$cargo_deny_root/target"
  fi
  # advisories are left out: their database is not in a package registry
  "$cargo_deny_root/bin/cargo-deny" --log-level error --all-features check bans licenses sources
}

# What boards get, for every processor, and the images that an emulator starts: one that shows what all have in common,
# and one that starts as a Raspberry Pi does. tests/long/image starts the others.
firmware() {
  image/build generic-x86_64 openipc-16m qemu-arm64 qemu-armv7 rpi-zero && image/build qemu-arm64 rpi-3 --image
}

# How many tests wait at a time. Each worker needs a network of its own, which only root may make.
workers() {
  if [ -n "${PORTHOLE_TEST_WORKERS:-}" ]; then
    echo "$PORTHOLE_TEST_WORKERS"
  elif unshare --net true 2>/dev/null; then
    echo $((2 * $(nproc)))
  else
    echo 0
  fi
}
