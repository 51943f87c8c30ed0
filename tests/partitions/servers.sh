# Sourced by `run`. Real servers, each in its namespace and in a folder of its own below $folder.

redis_nodes=(redis1 redis2 redis3 redis4 redis5 redis6)
etcd_nodes=(etcd1 etcd2 etcd3)

nodes_of() { # ENGINE
  if [ "$1" = redis ]; then echo "${redis_nodes[@]}"; else echo "${etcd_nodes[@]}"; fi
}

port_of() { # ENGINE
  if [ "$1" = redis ]; then echo 6379; else echo 2379; fi
}

endpoints() { # ENGINE: HOST:PORT,...
  local node list=
  for node in $(nodes_of "$1"); do list+=,$(address "$node"):$(port_of "$1"); done
  echo "${list#,}"
}

others() { # NODE ENGINE: all nodes but that one
  local node
  for node in $(nodes_of "$2"); do [ "$node" = "$1" ] || echo "$node"; done
}

start_node() { # NODE
  mkdir -p "$folder/$1"
  case $1 in
    redis*)
      (cd "$folder/$1" && exec ip netns exec "$prefix-$1" redis-server --bind "$(address "$1")" --port 6379 \
        --protected-mode no --cluster-enabled yes --cluster-node-timeout 2000 --cluster-replica-validity-factor 0 \
        --repl-diskless-sync-delay 0 --appendonly yes --appendfsync everysec --save "" >> log.txt 2>&1 < /dev/null) &
      ;;
    etcd*)
      local list= node url
      for node in "${etcd_nodes[@]}"; do list+=,$node=http://$(address "$node"):2380; done
      url=http://$(address "$1")
      (cd "$folder/$1" && exec ip netns exec "$prefix-$1" etcd --name "$1" --data-dir data --log-level error \
        --listen-client-urls "$url:2379" --advertise-client-urls "$url:2379" --listen-peer-urls "$url:2380" \
        --initial-advertise-peer-urls "$url:2380" --initial-cluster "${list#,}" >> log.txt 2>&1 < /dev/null) &
      ;;
  esac
  echo $! > "$folder/$1/pid"
  disown $!
}

signal() { # SIGNAL NODE...
  local node
  for node in "${@:2}"; do kill "-$1" "$(cat "$folder/$node/pid")" 2> /dev/null || true; done
}

ask_redis() { # NODE COMMAND...
  at client timeout 2 redis-cli -h "$(address "$1")" "${@:2}" 2>&1
}
ask_etcd() { # NODE COMMAND...
  ETCDCTL_API=3 at client timeout 3 etcdctl --command-timeout 1s --endpoints "$(address "$1"):2379" "${@:2}" 2>&1
}

is_healthy() { # NODE
  case $1 in
    redis*) ask_redis "$1" cluster info | grep -q cluster_state:ok && ask_redis "$1" info replication | grep -Eq 'master_link_status:up|state=online' ;;
    etcd*) ask_etcd "$1" endpoint health | grep -q 'is healthy' ;;
  esac
}

await_health() { # NODE...
  local node tries
  for node; do
    for ((tries = 0; ; ++tries)); do
      if is_healthy "$node"; then break; fi
      [ $tries -lt 120 ] || die "$node is not healthy after a minute; see $folder/$node/log.txt"
      sleep 0.5
    done
  done
}

start_servers() { # ENGINE
  local node list=()
  for node in $(nodes_of "$1"); do
    start_node "$node"
    list+=("$(address "$node"):$(port_of "$1")")
  done
  if [ "$1" = redis ]; then
    sleep 1
    quietly "$folder/create.txt" at client redis-cli --cluster create "${list[@]}" --cluster-replicas 1 --cluster-yes
  fi
  # shellcheck disable=SC2046
  await_health $(nodes_of "$1")
}

# The node whose loss hurts most: the leader of the slot of all keys, or of the cluster.
leader() { # ENGINE
  local node
  for node in $(nodes_of "$1"); do
    case $1 in
      redis) ! is_redis_leader "$node" || { echo "$node"; return; } ;;
      etcd) ! ask_etcd "$node" endpoint status -w json | jq -e '.[0].Status | .leader == .header.member_id' > /dev/null || { echo "$node"; return; } ;;
    esac
  done
  die "no $1 node leads"
}

is_redis_leader() { # NODE: of the slot of {load}, whatever the others say
  ask_redis "$1" readonly > /dev/null
  [ "$(ask_redis "$1" role | head -n 1)" = master ] && ! ask_redis "$1" get '{load}' | grep -q MOVED
}
