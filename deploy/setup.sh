# Shell functions for deploy/quickstart and tests/run. Source it from the project's folder.

say() { printf '== %s\n' "$*"; }

# install_packages LIST...: installs what the lists name and what is not there yet.
install_packages() {
  local missing=() package
  for package in $(sed 's/#.*//' "$@"); do
    dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed ||
      missing+=("$package")
  done
  if [ ${#missing[@]} -eq 0 ]; then
    say "packages: all there"
    return
  fi
  local sudo=""
  if [ "$(id -u)" -ne 0 ]; then
    sudo=sudo
    command -v sudo >/dev/null || { echo "packages are missing and this is not root: install sudo, or as root: apt-get install ${missing[*]}" >&2; return 1; }
  fi
  command -v apt-get >/dev/null || { echo "this is no Debian: install by hand what stands for: ${missing[*]}" >&2; return 1; }
  say "packages: installing ${missing[*]}"
  $sudo apt-get -qq update
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install \
    "${missing[@]}" >/dev/null
}

# build PRESET [CMAKE OPTION...]: configures if need be, then builds what has changed; only $targets
# where that is set.
build() {
  local preset=$1
  shift
  say "building the $preset preset into build/$preset (the first time takes some minutes)"
  cmake --preset "$preset" "$@" >"build-$preset.log" 2>&1 ||
    { cat "build-$preset.log" >&2; rm -f "build-$preset.log"; return 1; }
  rm -f "build-$preset.log"
  local start=$SECONDS
  # shellcheck disable=SC2086
  cmake --build --preset "$preset" ${targets:+--target $targets} && say "built build/$preset in $((SECONDS - start)) s"
}
