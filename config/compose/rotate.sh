#!/bin/sh
# Run by the entry point of nginx's images: rotate the access log, which nothing else does in a container. Renaming loses
# nothing, for logship reads the old file to its end, even after it was replaced.
log=/var/log/nginx/shop.log
(
  while sleep "${ROTATE_EVERY:-60}"; do
    [ "$(wc -c <"$log")" -gt "${ROTATE_AT:-67108864}" ] || continue
    mv -f "$log" "$log.1" && kill -USR1 "$(cat /run/nginx.pid)"
  done
) &
