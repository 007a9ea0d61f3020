//! The JSON form of a placement, as `/placement` and `placement.json` show it.
//!
//! Sets are lists of indexes into `members`, so that the whole stays readable: 1,024 slots with
//! three copies are about 40 KiB.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::{
    AuthorId, ClusterId, Digest, Epoch, Member, MoveStage, Parts, Placement, Quorums, ReplicaSet,
    SlotPlacement,
};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PlacementJson {
    cluster: ClusterId,
    epoch: Epoch,
    author: AuthorId,
    #[serde(default)]
    digest: Option<Digest>,
    address_revision: u64,
    copies: u8,
    quorums: Quorums,
    members: Vec<Member>,
    slots: Vec<SlotJson>,
}

/// A stable slot is just its set; a moving one names stage and both sets.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum SlotJson {
    Stable(ReplicaSet),
    Moving {
        stage: MoveStage,
        current: ReplicaSet,
        next: ReplicaSet,
    },
}

impl Serialize for Placement {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let parts = self.parts();
        let slots = parts.slots.iter().cloned().map(|slot| match slot {
            SlotPlacement::Stable { current } => SlotJson::Stable(current),
            SlotPlacement::Moving {
                stage,
                current,
                next,
            } => SlotJson::Moving {
                stage,
                current,
                next,
            },
        });
        PlacementJson {
            cluster: parts.cluster,
            epoch: parts.epoch,
            author: parts.author,
            digest: Some(self.digest()),
            address_revision: parts.address_revision,
            copies: parts.copies,
            quorums: parts.quorums,
            members: parts.members.clone(),
            slots: slots.collect(),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Placement {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = PlacementJson::deserialize(deserializer)?;
        let slots = json.slots.into_iter().map(|slot| match slot {
            SlotJson::Stable(current) => SlotPlacement::Stable { current },
            SlotJson::Moving {
                stage,
                current,
                next,
            } => SlotPlacement::Moving {
                stage,
                current,
                next,
            },
        });
        let placement = Placement::new(Parts {
            cluster: json.cluster,
            epoch: json.epoch,
            author: json.author,
            address_revision: json.address_revision,
            copies: json.copies,
            quorums: json.quorums,
            members: json.members,
            slots: slots.collect(),
        })
        .map_err(D::Error::custom)?;
        match json.digest {
            Some(digest) if digest != placement.digest() => Err(D::Error::custom(
                "the placement's digest does not match its content",
            )),
            _ => Ok(placement),
        }
    }
}
