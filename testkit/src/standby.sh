# Copies a running server and becomes its hot standby.
#
#   $1  folder of the programs    $2  directory with `settings.conf`; the copy goes to its folder `data`
#   $3  socket folder and         $4  port of the server to copy
bin=$1
dir=$2

"$bin/pg_basebackup" --pgdata="$dir/data" --host="$3" --port="$4" --username=postgres --wal-method=stream \
    --checkpoint=fast --write-recovery-conf --no-sync || exit 1
cat "$dir/settings.conf" >>"$dir/data/postgresql.conf" || exit 1
exec "$bin/postgres" -D "$dir/data"
