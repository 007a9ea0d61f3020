//! The slot table's form and its transitions.

use kvcore::limits::SLOTS;
use proptest::prelude::*;

use super::*;

fn slot(number: u16) -> Slot {
    Slot::new(number).expect("one of 1,024")
}

fn place(segment: u32, offset: u32) -> LogPlace {
    LogPlace {
        segment: SegmentId(segment),
        offset,
    }
}

fn any_session() -> impl Strategy<Value = Option<Session>> {
    use SessionState::{Copied, Copying, HandedOver};
    let state = prop::sample::select(vec![Copying, Copied, HandedOver]);
    let epoch = prop_oneof![1..5_u64, Just(u64::MAX)].prop_map(Epoch);
    prop::option::of((epoch, state).prop_map(|(epoch, state)| Session { epoch, state }))
}

prop_compose! {
    fn any_table()(
        slots in prop::collection::btree_map(
            0..u16::try_from(SLOTS).expect("1,024"),
            (1..=u32::MAX, any::<u32>(), any_session()),
            0..40,
        ),
    ) -> SlotTable {
        let states = slots.into_iter().map(|(number, (segment, offset, session))| {
            let valid_from = place(segment, offset);
            (slot(number), SlotState { valid_from, session })
        });
        SlotTable(states.collect())
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(table in any_table()) {
        let text = serde_json::to_vec_pretty(&table).expect("it is JSON");
        let read: SlotTable = serde_json::from_slice(&text).expect("it was just written");
        prop_assert_eq!(read, table);
    }

    /// No bit of the file can change without being noticed, but for such as change nothing.
    #[test]
    fn a_changed_file_is_refused(table in any_table(), at in any::<prop::sample::Index>(), bit in 0..8_u32) {
        let mut text = serde_json::to_vec_pretty(&table).expect("it is JSON");
        let at = at.index(text.len());
        text[at] ^= 1_u8 << bit;
        if let Ok(read) = serde_json::from_slice::<SlotTable>(&text) {
            prop_assert_eq!(read, table);
        }
    }
}

#[test]
fn a_full_table_is_read_and_small() {
    let mut table = SlotTable::default();
    for slot in Slot::all() {
        let place = place(u32::MAX, u32::MAX);
        let begun = table.begin_copying(slot, Epoch(u64::MAX), place);
        begun.expect("it is the first session");
    }
    let text = serde_json::to_vec_pretty(&table).expect("it is JSON");
    assert!(text.len() < crate::limits::SLOT_TABLE_BYTES_MAX / 2);
    let read: SlotTable = serde_json::from_slice(&text).expect("it was just written");
    assert_eq!(read, table);
    assert_eq!(read.valid_from().highest(), place(u32::MAX, u32::MAX));
}

/// Whoever makes such a file makes its checksum right, too.
fn read_of(slots: &str) -> Result<SlotTable, String> {
    let lines: Vec<SlotJson> = serde_json::from_str(slots).map_err(|error| error.to_string())?;
    let crc32 = checksum(&lines);
    let text = format!("{{\"format\":1,\"crc32\":{crc32},\"slots\":{slots}}}");
    serde_json::from_str(&text).map_err(|error| error.to_string())
}

#[test]
fn nonsense_is_refused() {
    let copying = |epoch| format!("{{\"epoch\":{epoch},\"state\":\"copying\"}}");
    let good = r#"{"slot":5,"segment":3,"offset":0}"#;
    let table = read_of(&format!("[{good}]")).expect("it makes sense");
    assert_eq!(table.of(slot(5)).map(|of| of.valid_from), Some(place(3, 0)));
    for (slots, why) in [
        (format!("[{good},{good}]"), "not in its place"),
        (
            format!("[{good},{}]", good.replace('5', "4")),
            "not in its place",
        ),
        (good.replace('5', "1024"), "1024"),
        (good.replace('3', "0"), "cannot have been emptied"),
        (good.replace('3', "-1"), "-1"),
        (good.replace("offset", "place"), "unknown field"),
        (
            good.replace('}', &format!(",\"session\":{}}}", copying(0))),
            "epoch 0",
        ),
        (
            good.replace('}', ",\"session\":{\"epoch\":1,\"state\":\"gone\"}}"),
            "unknown variant",
        ),
    ] {
        let slots = if slots.starts_with('[') {
            slots
        } else {
            format!("[{slots}]")
        };
        let error = read_of(&slots).expect_err(&slots);
        assert!(error.contains(why), "{slots}: {error}");
    }
    let later = r#"{"format":2,"crc32":0,"slots":[]}"#;
    let error = serde_json::from_str::<SlotTable>(later).expect_err("another release's");
    assert!(error.to_string().contains("run the one that wrote it"));
}

#[test]
fn a_session_goes_forward_only() {
    let (mut table, five) = (SlotTable::default(), slot(5));
    let copying = |table: &mut SlotTable, epoch, at| table.begin_copying(five, Epoch(epoch), at);
    table.set_copied(five, Epoch(3)).expect_err("in none");
    copying(&mut table, 3, place(2, 10)).expect("the first");
    copying(&mut table, 3, place(2, 20)).expect("once more, nothing was reported");
    let before = table.clone();
    copying(&mut table, 2, place(2, 30)).expect_err("an older epoch");
    copying(&mut table, 4, place(2, 19)).expect_err("what was discarded would count");
    copying(&mut table, 4, LogPlace::START).expect_err("no place");
    copying(&mut table, 0, place(9, 9)).expect_err("no epoch");
    table.set_copied(five, Epoch(2)).expect_err("not this one");
    table.set_copied(five, Epoch(4)).expect_err("not this one");
    assert_eq!(table, before, "what is refused changes nothing");
    assert_eq!(table.set_copied(five, Epoch(3)), Ok(true));
    assert_eq!(table.set_copied(five, Epoch(3)), Ok(false));
    copying(&mut table, 3, place(2, 30)).expect_err("it was reported");
    table
        .set_handed_over(five, Epoch(3), place(2, 30))
        .expect_err("it joins in this epoch");
    table
        .set_handed_over(five, Epoch(8), place(3, 0))
        .expect("a later one");
    table
        .set_copied(five, Epoch(8))
        .expect_err("it left in this one");
    table.end_session(five);
    assert_eq!(table.session(five), None);
    assert_eq!(table.valid_from().of(five), place(3, 0), "that stays");
    table
        .set_discarded(five, place(2, 99))
        .expect_err("backwards");
    table.set_discarded(five, place(3, 1)).expect("forward");
    assert_eq!(table.valid_from().of(five), place(3, 1));
    assert_eq!(table.valid_from().of(slot(6)), LogPlace::START);
}
