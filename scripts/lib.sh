# Shared by the scripts: what they need from the system, and how it gets there.
# shellcheck shell=bash

say() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; }

die() {
	say "$*"
	exit 1
}

# as_root COMMAND…: by itself or through sudo.
as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		die "must be root, or have sudo, to run: $*"
	fi
}

# need COMMAND=PACKAGE…: installs the Debian packages of the commands that are missing.
need() {
	local pair missing=()
	for pair in "$@"; do
		command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}")
	done
	[ "${#missing[@]}" -eq 0 ] && return 0
	command -v apt-get >/dev/null ||
		die "missing and not installable without apt-get; install: ${missing[*]}"
	say "installing ${missing[*]}"
	as_root apt-get update -q >&2
	as_root env DEBIAN_FRONTEND=noninteractive \
		apt-get install -q -y --no-install-recommends "${missing[@]}" >&2
}

# go_minor: the N of the go command's version 1.N, or 0.
go_minor() {
	local version
	version=$(GOTOOLCHAIN=local go env GOVERSION 2>/dev/null) || version=go1.0
	version=${version#*go1.}
	printf '%s\n' "${version%%[!0-9]*}"
}

# need_go: a go command of 1.21 or later, the first that knows go.mod toolchain lines. Older
# Debian releases carry a newer one in their backports.
need_go() {
	need go=golang-go
	[ "$(go_minor)" -ge 21 ] && return 0
	local release
	# shellcheck source=/dev/null
	release=$(. /etc/os-release 2>/dev/null && printf '%s' "${VERSION_CODENAME:-}")
	if [ -n "$release" ] && command -v apt-get >/dev/null; then
		say "this Go is too old; installing the one of $release-backports"
		if ! apt-cache policy | grep -q "$release-backports"; then
			printf 'deb http://deb.debian.org/debian %s-backports main\n' "$release" |
				as_root tee /etc/apt/sources.list.d/"$release"-backports.list >/dev/null
			as_root apt-get update -q >&2
		fi
		as_root env DEBIAN_FRONTEND=noninteractive \
			apt-get install -q -y -t "$release-backports" golang-go >&2 || true
		hash -r
	fi
	[ "$(go_minor)" -ge 21 ] || die "the tests need Go 1.21 or later; install it and put it on PATH"
}

# need_rust: cargo, with the toolchain that rust-toolchain.toml pins.
need_rust() {
	command -v cargo >/dev/null || die "cargo is missing; install Rust with rustup first"
	if command -v rustup >/dev/null && ! cargo --version >/dev/null 2>&1; then
		say "installing the pinned Rust toolchain"
		rustup toolchain install
	fi
}

# need_python PACKAGE==VERSION…: programs of Python packages, in a folder of their own below target;
# LARDER_PYTHON names the folder of the programs. Where they cannot be had, it stays empty, and the
# tests that need them say so and run nothing.
need_python() {
	local dir=$PWD/target/python
	export LARDER_PYTHON=
	if [ "$(cat "$dir/packages" 2>/dev/null)" != "$*" ]; then
		need python3=python3
		if ! python3 -c 'import ensurepip' 2>/dev/null; then
			as_root env DEBIAN_FRONTEND=noninteractive \
				apt-get install -q -y --no-install-recommends python3-venv >&2 || true
		fi
		say "installing $*"
		rm -rf "$dir"
		if ! { python3 -m venv "$dir" && "$dir/bin/pip" install -q "$@"; } >&2; then
			say "cannot install $*; the tests that need them are left out"
			return 0
		fi
		printf '%s' "$*" >"$dir/packages"
	fi
	LARDER_PYTHON=$dir/bin
}
