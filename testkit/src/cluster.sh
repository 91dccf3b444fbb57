# Creates a cluster and becomes its server.
#
#   $1  folder of initdb and postgres    $2  directory with `settings.conf`; the cluster goes to its folder `data`
bin=$1
dir=$2

make() {
    "$bin/initdb" --pgdata="$dir/data" --username=postgres --auth=trust --no-sync --encoding=UTF8 --locale="$1"
}

# Not every system has C.UTF-8; C always exists.
make C.UTF-8 || { rm -rf "$dir/data"; make C; } || exit 1
cat "$dir/settings.conf" >>"$dir/data/postgresql.conf" || exit 1
exec "$bin/postgres" -D "$dir/data"
