//! Reading a file whose disk may be unable to read some of it.
//!
//! A disk that has lost a sector fails every read that touches it. Around it everything can be
//! read still, so a read that fails is taken apart into pages, each tried twice: what fails only
//! once is not lost.

use std::{io, ops::Range};

use rustix::io::Errno;

use super::disk::DiskFile;

/// What the system reads in one piece: no part of a page can be had if one sector of it is lost.
const PAGE_BYTES: u64 = 4096;

/// Whether an error says that the medium has lost these bytes, rather than that the file, the
/// process or the system is in no state to read: only the first is damage.
///
/// Besides EIO these are what Linux makes of a medium's and of a file system's own checks.
pub(super) fn is_unreadable(error: &io::Error) -> bool {
    let lost = [
        Errno::IO,
        Errno::NODATA,
        Errno::ILSEQ,
        Errno::BADMSG,
        Errno::UCLEAN,
        Errno::REMOTEIO,
    ];
    Errno::from_io_error(error).is_some_and(|errno| lost.contains(&errno))
}

/// Fills `bytes` from `offset`, with zeros where the disk cannot read; gives these ranges of the
/// file, in order.
pub(super) fn read_around<F: DiskFile>(
    file: &F,
    offset: u64,
    bytes: &mut [u8],
) -> io::Result<Vec<Range<u64>>> {
    match file.read_exact_at(offset, bytes) {
        Err(error) if is_unreadable(&error) => {}
        other => return other.map(|()| Vec::new()),
    }
    let mut lost: Vec<Range<u64>> = Vec::new();
    let mut at = offset;
    let mut left = bytes;
    while !left.is_empty() {
        let to_page_end = usize::try_from(PAGE_BYTES - at % PAGE_BYTES).expect("within a page");
        let (page, behind) = left.split_at_mut(to_page_end.min(left.len()));
        let end = at + page.len() as u64;
        if !read_twice(file, at, page)? {
            page.fill(0);
            match lost.last_mut() {
                Some(last) if last.end == at => last.end = end,
                _ => lost.push(at..end),
            }
        }
        (at, left) = (end, behind);
    }
    Ok(lost)
}

/// False if the disk cannot read the bytes, the second time neither.
fn read_twice<F: DiskFile>(file: &F, offset: u64, bytes: &mut [u8]) -> io::Result<bool> {
    for _ in 0..2 {
        match file.read_exact_at(offset, bytes) {
            Ok(()) => return Ok(true),
            Err(error) if is_unreadable(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}

/// What of `whole` lies in none of these ranges, which are in order.
pub(super) fn outside(whole: Range<u64>, ranges: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut rest = Vec::new();
    let mut start = whole.start;
    for range in ranges {
        if start < range.start {
            rest.push(start..range.start);
        }
        start = range.end;
    }
    if start < whole.end {
        rest.push(start..whole.end);
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::disk::{Disk, memory::MemoryDisk};

    #[test]
    fn what_surrounds_a_lost_sector_is_read_and_one_failure_is_no_loss() {
        let disk = MemoryDisk::new();
        let contents: Vec<u8> = (1..=250).cycle().take(20_000).collect();
        disk.put("file", contents.clone());
        let file = disk.open_read("file").expect("it is there");
        let mut bytes = vec![0; 15_000];
        disk.fail_reads_after(Some(0));
        assert_eq!(read_around(&file, 1_000, &mut bytes).expect("read"), []);
        assert_eq!(bytes, contents[1_000..16_000]);
        disk.lose("file", 5_000);
        let lost = read_around(&file, 1_000, &mut bytes).expect("read");
        assert_eq!((lost.len(), &lost[0]), (1, &(4096..8192)));
        assert_eq!(bytes[..3_096], contents[1_000..4_096]);
        assert!(bytes[3_096..7_192].iter().all(|&byte| byte == 0));
        assert_eq!(bytes[7_192..], contents[8_192..16_000]);
        assert_eq!(outside(1_000..16_000, &lost), [1_000..4_096, 8_192..16_000]);
        // Beside a lost sector, too, what fails once is read again.
        disk.fail_reads_after(Some(1));
        assert_eq!(read_around(&file, 1_000, &mut bytes).expect("read"), lost);
        // The end of the file is something else.
        let error = read_around(&file, 19_000, &mut bytes).expect_err("too short");
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn what_is_no_loss_of_bytes_stays_an_error() {
        for errno in [
            Errno::BADF,
            Errno::MFILE,
            Errno::NOMEM,
            Errno::INTR,
            Errno::NOENT,
        ] {
            assert!(!is_unreadable(&errno.into()), "{errno}");
        }
        assert!(is_unreadable(&Errno::IO.into()));
    }
}
