//! From a `KvCluster` as it is stored to one that everything else may rely on.
//!
//! The API server has checked most of it already; a resource that was stored under an older
//! definition has not been, so every rule that the plan relies on is checked again here.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Resource;
use kvcore::{limits::COPIES_MAX, placement::Quorums};
use uuid::Uuid;

use crate::{
    crd::{Consistency, KvCluster, KvClusterSpec, NAME_CHARS_MAX},
    names::Names,
    quantity::Amount,
};

/// Most servers of one cluster.
pub const SERVERS_MAX: i32 = 100;

/// A `KvCluster` without contradictions.
#[derive(Debug, Clone, PartialEq)]
pub struct Validated {
    /// What everything of it is called.
    pub names: Names,
    /// Its own UID, of which the names of its cluster and author are made.
    pub uid: Uuid,
    /// How its objects name it as their owner.
    pub owner: OwnerReference,
    /// Generation of the spec.
    pub generation: i64,
    /// What was asked for.
    pub spec: KvClusterSpec,
    /// Read and write quorums.
    pub quorums: Quorums,
    /// Image of servers and brokers.
    pub image: String,
}

impl Validated {
    /// Server pods that are wanted.
    pub fn replicas(&self) -> i32 {
        self.spec.servers.replicas
    }

    /// Servers that hold each key.
    pub fn copies(&self) -> usize {
        usize::from(self.spec.copies)
    }

    /// Size of each volume, in bytes.
    pub fn volume_bytes(&self) -> u64 {
        Amount::parse(&self.spec.servers.storage.size)
            .and_then(Amount::units)
            .expect("validated: the size is an amount")
    }
}

/// What is wrong with a `KvCluster`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// It did not come from an API server.
    #[error("metadata.{0} is missing")]
    Metadata(&'static str),
    /// Its name would make names that are too long, or no names of Services.
    #[error(
        "metadata.name {0:?} has to have 1 to {NAME_CHARS_MAX} lower-case letters, digits and '-', \
         and begin with a letter: choose another name"
    )]
    Name(String),
    /// Servers out of range.
    #[error("servers.replicas is {0}, it goes from 1 to {SERVERS_MAX}")]
    Servers(i32),
    /// Copies out of range, or more than servers.
    #[error(
        "copies is {copies}, it goes from 1 to {COPIES_MAX} and to servers.replicas, {servers}"
    )]
    Copies {
        /// Copies asked for.
        copies: u8,
        /// Servers asked for.
        servers: i32,
    },
    /// A quorum out of range.
    #[error("{field} is {quorum}, it goes from 1 to copies, {copies}")]
    Quorum {
        /// Which one.
        field: &'static str,
        /// What it is.
        quorum: u8,
        /// Copies asked for.
        copies: u8,
    },
    /// A consistency that is not built yet.
    #[error("consistency Linearizable is not built yet: leave it out, or say Eventual")]
    Consistency,
    /// A size that is none.
    #[error("servers.storage.size {0:?} is no amount of bytes above zero, such as 10Gi")]
    Size(String),
}

/// Checks a `KvCluster`; `default_image` stands in where it names none.
pub fn validate(cluster: &KvCluster, default_image: &str) -> Result<Validated, Invalid> {
    let spec = cluster.spec.clone();
    let names = names_of(cluster)?;
    check_numbers(&spec)?;
    let uid = cluster.metadata.uid.as_deref();
    let uid = uid.and_then(|uid| Uuid::parse_str(uid).ok());
    Ok(Validated {
        names,
        uid: uid.ok_or(Invalid::Metadata("uid"))?,
        owner: cluster
            .controller_owner_ref(&())
            .ok_or(Invalid::Metadata("uid"))?,
        generation: cluster
            .metadata
            .generation
            .ok_or(Invalid::Metadata("generation"))?,
        quorums: Quorums {
            read: spec.read_quorum,
            write: spec.write_quorum,
        },
        image: spec
            .image
            .clone()
            .unwrap_or_else(|| default_image.to_owned()),
        spec,
    })
}

fn names_of(cluster: &KvCluster) -> Result<Names, Invalid> {
    let missing = |field| Invalid::Metadata(field);
    let name = cluster.metadata.name.clone().ok_or(missing("name"))?;
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let good = name.len() <= NAME_CHARS_MAX
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(inner)
        && !name.ends_with('-');
    if !good {
        return Err(Invalid::Name(name));
    }
    Ok(Names {
        namespace: cluster
            .metadata
            .namespace
            .clone()
            .ok_or(missing("namespace"))?,
        cluster: name,
    })
}

fn check_numbers(spec: &KvClusterSpec) -> Result<(), Invalid> {
    let (copies, servers) = (spec.copies, spec.servers.replicas);
    if !(1..=SERVERS_MAX).contains(&servers) {
        return Err(Invalid::Servers(servers));
    }
    if copies == 0 || usize::from(copies) > COPIES_MAX || i32::from(copies) > servers {
        return Err(Invalid::Copies { copies, servers });
    }
    for (field, quorum) in [
        ("readQuorum", spec.read_quorum),
        ("writeQuorum", spec.write_quorum),
    ] {
        if let Some(quorum) = quorum
            && !(1..=copies).contains(&quorum)
        {
            return Err(Invalid::Quorum {
                field,
                quorum,
                copies,
            });
        }
    }
    if spec.consistency == Consistency::Linearizable {
        return Err(Invalid::Consistency);
    }
    let size = &spec.servers.storage.size;
    let bytes = Amount::parse(size).and_then(Amount::units);
    if bytes.is_none_or(|bytes| bytes == 0) {
        return Err(Invalid::Size(size.clone()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;

    #[test]
    fn what_the_examples_ask_for_is_valid() {
        let validated = validate(&fixtures::cluster(), "image:1").expect("valid");
        assert_eq!(validated.names.to_string(), "shop/carts");
        assert_eq!(validated.image, "image:1");
        assert_eq!(validated.volume_bytes(), 10 << 30);
    }

    #[test]
    fn each_rule_is_checked_again() {
        let check = |change: fn(&mut KvCluster)| {
            let mut cluster = fixtures::cluster();
            change(&mut cluster);
            validate(&cluster, "image:1").map(|_| ())
        };
        assert_eq!(
            check(|cluster| cluster.spec.copies = 4),
            Err(Invalid::Copies {
                copies: 4,
                servers: 3
            })
        );
        assert_eq!(
            check(|cluster| cluster.spec.servers.replicas = 101),
            Err(Invalid::Servers(101))
        );
        assert!(matches!(
            check(|cluster| cluster.spec.write_quorum = Some(4)),
            Err(Invalid::Quorum {
                field: "writeQuorum",
                ..
            })
        ));
        assert!(matches!(
            check(|cluster| cluster.spec.read_quorum = Some(0)),
            Err(Invalid::Quorum {
                field: "readQuorum",
                ..
            })
        ));
        assert_eq!(
            check(|cluster| cluster.spec.consistency = Consistency::Linearizable),
            Err(Invalid::Consistency)
        );
        assert!(matches!(
            check(|cluster| cluster.spec.servers.storage.size = "ten".to_owned()),
            Err(Invalid::Size(_))
        ));
        for name in ["1st", "a.b", "-a", "a-", &"a".repeat(41)] {
            let mut cluster = fixtures::cluster();
            cluster.metadata.name = Some(name.to_owned());
            assert!(matches!(
                validate(&cluster, "image:1"),
                Err(Invalid::Name(_))
            ));
        }
    }
}
