# Runs one server and clears up after it.
#
#   $1   directory to remove at the end; the server's output goes to its file `log`, its exit code to `exit`
#   $2   signal that stops the server
#   $3   process after whose end too, besides its owner's, it stops; may be empty
#   ...  the server's command
#
# Standard input is a pipe whose other end only our owner holds. End of file means that the owner is gone, however it
# went: returned, exited, panicked, or was killed.
dir=$1
signal=$2
also=$3
shift 3
exec 3<&0 </dev/null

"$@" 3<&- </dev/null >>"$dir/log" 2>&1 &
server=$!

also_runs() {
    # `kill -0` tells nothing of another account's process.
    [ -n "$also" ] && if [ -d /proc/self ]; then [ -d "/proc/$also" ]; else ps -p "$also" >/dev/null; fi
}

(
    read -r _ <&3
    while also_runs; do sleep 0.1; done
    # Repeated, because a signal that arrives before the server has set its handlers is lost.
    tries=0
    while [ ! -e "$dir/exit" ]; do
        kill -s "$signal" "$server" 2>/dev/null
        sleep 0.02
        tries=$((tries + 1))
        [ "$tries" -lt 500 ] || signal=KILL
    done
) &
owner_gone=$!

wait "$server"
echo "$?" >"$dir/exit"
# A server that stopped by itself leaves its log for the owner to read.
wait "$owner_gone"
# Again, for a file that a straggler created meanwhile.
rm -rf "$dir" || { sleep 1; rm -rf "$dir"; }
