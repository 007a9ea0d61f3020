//! Loading data files.

use std::{fmt::Write as _, io::Write as _, time::Duration};

use broker::load::{LoadOptions, LoadSummary, load};

use crate::support::cluster;

fn file(text: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(text).expect("written");
    file
}

#[tokio::test]
async fn entries_are_stored_and_what_exists_is_left_alone() {
    let cluster = cluster(3, 2).await;
    let mut text = String::from("# people\r\n\r\n\"broken\" 1\r\n");
    for number in 0..1000 {
        writeln!(text, "\"k{number}\" : {number}\r").expect("a string");
    }
    let data = file(text.as_bytes());
    let options = LoadOptions::default();
    let summary = load(&cluster.broker, data.path(), options)
        .await
        .expect("read");
    let expected = LoadSummary {
        stored: 1000,
        bad_lines: 1,
        ..LoadSummary::default()
    };
    assert_eq!(summary, expected);
    assert_eq!(cluster.int("k999").await, Some(999));
    let again = file(b"\"k1\" : 7\n\"new\" : 8");
    let summary = load(&cluster.broker, again.path(), options)
        .await
        .expect("read");
    assert_eq!((summary.stored, summary.existed), (1, 1));
    assert_eq!(cluster.int("k1").await, Some(1));
    let options = LoadOptions {
        overwrite: true,
        ..options
    };
    let summary = load(&cluster.broker, again.path(), options)
        .await
        .expect("read");
    assert_eq!(
        summary.to_string(),
        "2 stored, 0 existed, 0 bad lines, 0 failed"
    );
    assert_eq!(cluster.int("k1").await, Some(7));
}

#[tokio::test]
async fn failures_are_counted_and_an_empty_file_is_fine() {
    let cluster = cluster(3, 3).await;
    let options = LoadOptions::default();
    let summary = load(&cluster.broker, file(b"").path(), options)
        .await
        .expect("read");
    assert_eq!(summary, LoadSummary::default());
    cluster.members[0].set_down(true);
    cluster.members[1].set_down(true);
    let data = file(b"\"a\" : 1\n\"b\" : 2\n");
    let loading = load(&cluster.broker, data.path(), options);
    let summary = tokio::time::timeout(Duration::from_secs(10), loading).await;
    assert_eq!(summary.expect("in time").expect("read").failed, 2);
    let missing = load(&cluster.broker, "/none/data.txt".as_ref(), options).await;
    assert!(
        missing
            .unwrap_err()
            .to_string()
            .contains("data file /none/data.txt")
    );
}
