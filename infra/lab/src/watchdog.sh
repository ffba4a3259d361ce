# Watches over one lab: reads orders from its owner until the owner closes the pipe or dies, then kills the
# process groups that are still on the list and removes the lab's directory ($1).
# Orders: "add GROUP", "del GROUP", "keep" (leave everything as it is).
trap '' HUP INT TERM
groups=
while read -r order group; do
    case $order in
    add) groups="$groups $group" ;;
    del)
        rest=
        for g in $groups; do
            [ "$g" = "$group" ] || rest="$rest $g"
        done
        groups=$rest
        ;;
    keep) exit 0 ;;
    esac
done
for g in $groups; do
    kill -s KILL -- "-$g"
done
# A process that is just dying may still write a file between two looks of rm.
tries=0
while [ -e "$1" ] && [ "$tries" -lt 100 ]; do
    rm -rf -- "$1" || sleep 0.05
    tries=$((tries + 1))
done
