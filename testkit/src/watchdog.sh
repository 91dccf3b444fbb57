# Runs one server and clears up after it.
#
#   $1   directory to remove at the end; the server's output goes to its file `log`, its exit code to `exit`
#   $2   signal that stops the server
#   ...  the server's command
#
# Standard input is a pipe whose other end only our owner holds. End of file means that the owner is gone, however it
# went: returned, exited, panicked, or was killed.
dir=$1
signal=$2
shift 2
exec 3<&0 </dev/null

"$@" 3<&- </dev/null >>"$dir/log" 2>&1 &
server=$!

(
    read -r _ <&3
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
