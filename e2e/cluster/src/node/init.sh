# The first process of a node. It runs in namespaces of its own, and everything in them ends with it.
# The lines above say who it is: name, directory, address, gateway, routes, programs, start.
set -eu

mount --make-rprivate /
mount --make-rshared /
mount -t proc proc /proc
# What programs insist on having there. Nothing is made on the machine's own disk.
for place in /run /var/lib /var/log; do
    mount -t tmpfs -o mode=755 tmpfs "$place"
done
mkdir -p /run/lock /run/containerd /run/netns /var/log/pods /var/log/containers
for disk in kubelet containerd volumes; do
    mkdir -p "/var/lib/$disk"
    mount --bind "$directory/$disk" "/var/lib/$disk"
done
mount --bind "$directory/pods" /var/log/pods
for image in /var/lib/volumes/bounded/*.img; do
    if [ -e "$image" ]; then mount -o loop "$image" "${image%.img}"; fi
done

hostname "$name"
ip link set lo up
tries=0
until ip link show eth0 >/dev/null 2>&1; do
    tries=$((tries + 1))
    if [ "$tries" -gt 200 ]; then echo "no network cable after 10 s"; exit 1; fi
    sleep 0.05
done
ip address add "$address/24" dev eth0
ip link set eth0 up
ip route add default via "$gateway"
for route in $routes; do
    ip route add "${route%@*}" via "${route#*@}"
done
echo 1 >/proc/sys/net/ipv4/ip_forward
echo 0 >/proc/sys/net/ipv4/conf/all/rp_filter
bridge=/proc/sys/net/bridge/bridge-nf-call-iptables
if [ -e "$bridge" ]; then echo 1 >"$bridge"; fi
iptables -w -t nat -A POSTROUTING -s "$pods" ! -d "$pods" -j MASQUERADE

# Starts a program again whenever it ends.
keep() {
    program=$1
    shift
    while :; do
        "$@" >>"$directory/log/$program.log" 2>&1 || echo "$program ended ($?)" >>"$directory/log/$program.log"
        sleep 1
    done
}

keep containerd containerd --config "$directory/etc/containerd.toml" &
until [ -e "$start" ]; do sleep 0.05; done
keep kubelet "$programs/kubelet" --config="$directory/etc/kubelet.json" \
    --kubeconfig="$kubeconfig" --hostname-override="$name" --node-ip="$address" \
    --node-labels="topology.kubernetes.io/zone=$zone" --root-dir=/var/lib/kubelet &
keep kube-proxy "$programs/kube-proxy" --config="$directory/etc/kube-proxy.json" &
# Never ends: what it also does is to bury the orphans of pods.
wait
