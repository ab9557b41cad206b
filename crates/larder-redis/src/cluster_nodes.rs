//! What `CLUSTER NODES` says (<https://redis.io/docs/latest/commands/cluster-nodes/>): the one
//! answer that every version has and that names failed nodes too.

/// A line of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClusterNode {
    /// 40 hexadecimal digits.
    pub id: String,
    /// An address or a name; empty where the node does not know its own.
    pub host: String,
    /// The port for clients.
    pub port: u16,
    /// Whether it is the one that answered.
    pub myself: bool,
    /// The master that it follows.
    pub master: Option<String>,
    /// Whether it has an address and is not known to have failed.
    pub usable: bool,
    /// Its slots, each range with both ends, without those that are being moved.
    pub slots: Vec<(u16, u16)>,
    /// The nodes from which slots are on their way to it; only of the one that answered.
    pub imports: Vec<String>,
}

/// Reads the lines that make sense; the others belong to nodes that have just met.
pub(crate) fn parse(text: &str) -> Vec<ClusterNode> {
    text.lines().filter_map(line).collect()
}

fn line(line: &str) -> Option<ClusterNode> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [id, address, flags, master, _, _, _, _, slots @ ..] = words.as_slice() else {
        return None;
    };
    // ip:port@bus,hostname,aux… ; an IPv6 address has no brackets here.
    let mut names = address.split(',');
    let (host, port) = names.next()?.split('@').next()?.rsplit_once(':')?;
    let flags: Vec<&str> = flags.split(',').collect();
    let unusable = ["fail", "noaddr", "handshake"];
    Some(ClusterNode {
        id: (*id).to_owned(),
        host: host.to_owned(),
        port: port.parse().ok()?,
        myself: flags.contains(&"myself"),
        master: (*master != "-").then(|| (*master).to_owned()),
        usable: !flags.iter().any(|flag| unusable.contains(flag)),
        slots: slots.iter().filter_map(|slots| range(slots)).collect(),
        imports: slots.iter().filter_map(|slots| import(slots)).collect(),
    })
}

/// `0-5460` or `7000`; `[93-<-ID]` is a slot on its way.
fn range(text: &str) -> Option<(u16, u16)> {
    match text.split_once('-') {
        Some((from, to)) => Some((from.parse().ok()?, to.parse().ok()?)),
        None => text.parse().ok().map(|slot| (slot, slot)),
    }
}

/// The other node of `[93-<-ID]`; `[77->-ID]` is a slot that leaves.
fn import(text: &str) -> Option<String> {
    let (_, id) = text.strip_prefix('[')?.strip_suffix(']')?.split_once("-<-")?;
    Some(id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_a_cluster() {
        let nodes = parse(
            "07c3 127.0.0.1:30004@31004,host4 slave e7d1 0 1426238317239 4 connected\n\
             e7d1 127.0.0.1:30001@31001 myself,master - 0 0 1 connected 0-5460 7000 [93-<-292f] [77->-67ed]\n\
             67ed ::1:30002@31002 master,fail - 1 2 2 disconnected 5461-10922\n\
             292f :0@0 master,noaddr - 1 2 2 disconnected\n",
        );
        assert_eq!(nodes.len(), 4);
        assert_eq!(nodes[0].master.as_deref(), Some("e7d1"));
        assert_eq!(nodes[1].slots, [(0, 5460), (7000, 7000)]);
        assert!(nodes[1].myself && nodes[1].usable);
        assert_eq!(nodes[1].imports, ["292f"]);
        assert_eq!((nodes[2].host.as_str(), nodes[2].usable), ("::1", false));
        assert!(!nodes[3].usable);
    }
}
