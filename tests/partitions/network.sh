# Sourced by `run`. A network of namespaces, joined by a switch in one of its own, so that nothing of the machine's own
# network is touched: each node and the client has one, with an address 10.213.0.N. Needs root, ip and iptables.

prefix=kvstore-$$
subnet=10.213.0
hosts=()

at() { # HOST COMMAND...: runs a command in the namespace of a host
  ip netns exec "$prefix-$1" "${@:2}"
}

address() { # HOST
  case $1 in
    client) echo $subnet.100 ;;
    redis*) echo "$subnet.$((10 + ${1#redis}))" ;;
    etcd*) echo "$subnet.$((20 + ${1#etcd}))" ;;
  esac
}

join_network() { # HOST...
  ip netns add "$prefix-switch"
  at switch ip link add switch type bridge
  at switch ip link set switch up
  local host
  for host; do
    ip netns add "$prefix-$host"
    hosts+=("$host")
    ip link add name eth0 netns "$prefix-$host" type veth peer name "$host" netns "$prefix-switch"
    at switch ip link set "$host" master switch up
    at "$host" ip addr add "$(address "$host")/24" dev eth0
    at "$host" ip link set eth0 up
    at "$host" ip link set lo up
  done
}

leave_network() {
  local host
  for host in "${hosts[@]}" switch; do ip netns del "$prefix-$host" 2> /dev/null || true; done
}

# --- what may happen to it; `heal` ends all of it ---

drop_from() { # HOST PEER...: the host receives nothing from these
  local host=$1 peer
  for peer in "${@:2}"; do at "$host" iptables -I INPUT -s "$(address "$peer")" -j DROP; done
}

cut() { # HOST PEER...: nothing passes between the host and these, either way
  local host=$1 peer
  drop_from "$@"
  for peer in "${@:2}"; do at "$host" iptables -I OUTPUT -d "$(address "$peer")" -j DROP; done
}

lose() { # PERCENT: of all packets, anywhere
  local host
  for host in "${hosts[@]}"; do
    at "$host" iptables -I INPUT -m statistic --mode random --probability "0.$1" ! -i lo -j DROP
  done
}

slow_down() { # HOST RATE: what the host sends
  at "$1" tc qdisc add dev eth0 root tbf rate "$2" burst 4kb latency 2s
}

heal() {
  local host
  for host in "${hosts[@]}"; do
    at "$host" iptables -F
    at "$host" tc qdisc del dev eth0 root 2> /dev/null || true
  done
}
