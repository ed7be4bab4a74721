#!/usr/bin/env bash
# Compiles S2MEdgeKit and runs its tests: the logic of the iOS app, against the contract vectors in apps/vectors.
#
#   apps/ios/test-kit.sh [arguments of swift test]
#
# Uses `swift` where it is on the PATH (a Mac with Xcode, or swift.org's toolchain). Otherwise the toolchain in a Debian
# root folder named by S2M_EDGE_SWIFT_ROOT, entered with chroot, as root; this makes one (2.8 GB):
#
#   mmdebstrap --variant=minbase --include=swiftlang,libc6-dev,libstdc++-14-dev,gcc,binutils,git,ca-certificates \
#     trixie /var/lib/swift-root
#
# Exit codes: those of swift test; 3 where there is no toolchain.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
apps="$(dirname "$here")"
build="${S2M_EDGE_SWIFT_BUILD:-$here/S2MEdgeKit/.build}"

if command -v swift >/dev/null && swift --version 2>/dev/null | grep -q 'Swift version'; then
  exec swift test --package-path "$here/S2MEdgeKit" --scratch-path "$build" "$@"
fi

root="${S2M_EDGE_SWIFT_ROOT:-}"
if [ -z "$root" ] || [ ! -e "$root/usr/libexec/swift/bin/swift" ]; then
  echo "note: no swift on the PATH, and S2M_EDGE_SWIFT_ROOT names no folder with Debian's swiftlang" >&2
  exit 3
fi
if [ "$(id -u)" -ne 0 ]; then
  echo "note: entering $root takes root" >&2
  exit 3
fi
# The sources are copied in and the build is kept there: nothing has to be mounted but /proc, which swift needs.
work="$root/var/tmp/s2m-edge-kit"
mkdir -p "$work/ios"
rm -rf "$work/ios/S2MEdgeKit" "$work/vectors"
cp -R "$here/S2MEdgeKit" "$work/ios/"
cp -R "$apps/vectors" "$work/"
arguments=()
if [ -n "${S2M_EDGE_BUNDLE:-}" ]; then
  rm -rf "$work/bundle" && cp -R "$S2M_EDGE_BUNDLE" "$work/bundle"
  arguments+=(S2M_EDGE_BUNDLE=/var/tmp/s2m-edge-kit/bundle)
fi
exec unshare --mount bash -c '
  root="$1"; shift
  mount -t proc proc "$root/proc" 2>/dev/null || mount --bind /proc "$root/proc"
  [ -e "$root/dev/urandom" ] && [ -c "$root/dev/null" ] || mount --bind /dev "$root/dev"
  exec chroot "$root" /usr/bin/env "$@"
' _ "$root" HOME=/root PATH=/usr/bin:/bin "${arguments[@]}" \
  swift test --package-path /var/tmp/s2m-edge-kit/ios/S2MEdgeKit --scratch-path /var/tmp/s2m-edge-kit/build "$@"
