// The guest's side of guest_channel.h.
//
// A command runs in a subshell with its own output file, not a pipe: a command may leave something running in the
// background, which would keep a pipe open. `read` takes single bytes from the port, so that what follows a line stays
// there for the next reader.
#include "vm/guest_init.h"

namespace klp::vm {
namespace {

constexpr std::string_view before_channel = R"script(#!/bin/sh
export PATH=/bin HOME=/root TERM=dumb
[ -e /bin/mount ] || /bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t debugfs debug /sys/kernel/debug
mount -t tracefs trace /sys/kernel/tracing
)script";

constexpr std::string_view behind_channel = R"script(
stty raw -echo
ulimit -c 0
answer() {
  echo "klp-begin $1 $2"
  head -c 8388608 /run/output.$1 | base64
  rm -f /run/output.$1
  echo "klp-end $1"
}
echo
echo klp-ready
while read -r id rest; do
  if [ "$id" = put ]; then
    read -r id size name <<EOF
$rest
EOF
    head -c "$size" | base64 -d >"/$name" 2>/run/output.$id
    status=$?
    chmod 755 "/$name"
  else
    command=$(printf %b "$rest")
    (cd / && eval "$command") </dev/null >/run/output.$id 2>&1
    status=$?
  fi
  answer "$id" $status
done
)script";

}  // namespace

std::string guest_init_script(const std::string& channel) {
  std::string script(before_channel);
  script += "exec <>" + channel + " >&0 2>/dev/null";
  script += behind_channel;
  return script;
}

}  // namespace klp::vm
