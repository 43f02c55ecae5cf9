# first.sh N command...: lets a command that would go on for ever write N lines, then ends it; what it wrote.
lines=$1
shift
said="$DIR"/first
: > "$said"
"$@" > "$said" 2>&1 &
at_work=$!
tries=0
while [ "$(wc -l < "$said")" -lt "$lines" ] && [ $((tries += 1)) -le 1500 ] && kill -0 $at_work 2> /dev/null; do
    sleep 0.1
done
kill $at_work 2> /dev/null
wait $at_work 2> /dev/null
cat "$said"
