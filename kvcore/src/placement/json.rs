//! The JSON form of a placement, as `/placement` and `placement.json` show it.
//!
//! Sets are lists of indexes into `members`, so that the whole stays readable: 1,024 slots with
//! three copies are about 40 KiB. A number of members as quorum stands where it differs from what is asked for.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::{
    AuthorId, ClusterId, Digest, Epoch, Holders, Member, MoveStage, Parts, Placement, Quorums,
    ReplicaSet, SlotPlacement,
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

/// A slot: since when, who, and the move that is open.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SlotJson {
    since: Epoch,
    current: HoldersJson,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stage: Option<MoveStage>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next: Option<HoldersJson>,
}

/// A set with the quorums that the placement asks for is just its members.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum HoldersJson {
    AsAsked(ReplicaSet),
    #[serde(rename_all = "snake_case")]
    Own {
        members: ReplicaSet,
        quorums: Quorums,
    },
}

impl HoldersJson {
    fn of(holders: &Holders, asked: Quorums) -> Self {
        let members = holders.set.clone();
        if holders.quorums == asked {
            return Self::AsAsked(members);
        }
        Self::Own {
            members,
            quorums: holders.quorums,
        }
    }

    fn holders(self, asked: Quorums) -> Holders {
        match self {
            Self::AsAsked(members) => Holders::new(members, asked),
            Self::Own { members, quorums } => Holders::new(members, quorums),
        }
    }
}

impl SlotJson {
    fn of(slot: &SlotPlacement, asked: Quorums) -> Self {
        Self {
            since: slot.since(),
            current: HoldersJson::of(slot.current(), asked),
            stage: slot.stage(),
            next: slot.next().map(|next| HoldersJson::of(next, asked)),
        }
    }

    fn placed(self, asked: Quorums) -> Result<SlotPlacement, &'static str> {
        let (since, current) = (self.since, self.current.holders(asked));
        match (self.stage, self.next) {
            (None, None) => Ok(SlotPlacement::stable(since, current)),
            (Some(stage), Some(next)) => {
                let next = next.holders(asked);
                Ok(SlotPlacement::moving(since, stage, current, next))
            }
            _ => Err("a slot has a stage and a next set, or neither"),
        }
    }
}

impl Serialize for Placement {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let parts = self.parts();
        let slots = parts.slots.iter();
        let slots = slots.map(|slot| SlotJson::of(slot, parts.quorums));
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
        let slots = json.slots.into_iter();
        let slots = slots.map(|slot| slot.placed(json.quorums));
        let slots = slots.collect::<Result<_, _>>().map_err(D::Error::custom)?;
        let placement = Placement::new(Parts {
            cluster: json.cluster,
            epoch: json.epoch,
            author: json.author,
            address_revision: json.address_revision,
            copies: json.copies,
            quorums: json.quorums,
            members: json.members,
            slots,
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
