use super::*;

fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o777);
        // `append_data` would refuse the paths that are tested.
        let bytes = name.as_bytes();
        header.as_old_mut().name[..bytes.len()].copy_from_slice(bytes);
        header.set_cksum();
        builder.append(&header, *content).unwrap();
    }
    packed(&builder.into_inner().unwrap())
}

fn packed(plain: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    io::Write::write_all(&mut packed, plain).unwrap();
    packed.finish().unwrap()
}

fn unpacked(files: &[(&str, &[u8])], most: u64) -> Result<(u64, tempfile::TempDir), TarballError> {
    let folder = tempfile::tempdir().unwrap();
    let mut allowance = Allowance::new(most);
    unpack(archive(files).as_slice(), folder.path(), &mut allowance, &Stop::default())
        .map(|size| (size, folder))
}

#[test]
fn files_are_unpacked_below_the_folder() {
    let files: &[(&str, &[u8])] =
        &[("package/package.json", b"{}"), ("package/lib/a.js", b"1"), ("package/lib/a.d.ts", b"types")];
    let (size, folder) = unpacked(files, 100_000).unwrap();
    assert_eq!(size, 8);
    assert_eq!(fs::read(folder.path().join("lib/a.js")).unwrap(), b"1");
    assert!(!folder.path().join("lib/a.d.ts").exists());
}

#[test]
fn json_has_no_byte_order_mark() {
    let marked = b"\xef\xbb\xbf{}";
    let files: &[(&str, &[u8])] =
        &[("package/package.json", marked), ("package/a.json", b"1"), ("package/a.bin", marked)];
    let (_, folder) = unpacked(files, 100_000).unwrap();
    let read = |name: &str| fs::read(folder.path().join(name)).unwrap();
    assert_eq!((read("package.json"), read("a.json")), (b"{}".to_vec(), b"1".to_vec()));
    assert_eq!(read("a.bin"), marked);
}

#[test]
fn nothing_leaves_the_folder() {
    for bad in ["package/../../x", "/etc/x", "../x", "package/a/../../../x"] {
        let error = unpacked(&[(bad, b"1")], 100_000).unwrap_err();
        assert!(matches!(error, TarballError::Path(_)), "{bad}: {error}");
    }
}

#[test]
fn bombs_and_addons_are_refused() {
    let large = vec![0; 3 << 20];
    let error = unpacked(&[("package/a.js", &large)], 1 << 20).unwrap_err();
    let rule = error.to_string();
    assert!(rule.starts_with("unpacks to more than the 1 MiB that are left of `packages.maxSize`"), "{rule}");
    for native in ["package/build/x.node", "package/binding.gyp"] {
        let error = unpacked(&[(native, b"1")], 100_000).unwrap_err();
        assert!(matches!(error, TarballError::Native(_)), "{error}");
    }
}

proptest::proptest! {
    #[test]
    fn a_tampered_archive_is_survived(
        at in 0..4_096_usize,
        bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..64),
    ) {
        let mut archive = archive(&[("package/package.json", b"{}"), ("package/lib/a.js", b"1")]);
        let at = at % archive.len();
        archive.splice(at..(at + bytes.len()).min(archive.len()), bytes);
        survive(&archive);
    }
}

/// As `tar` writes a path that is too long for a header, and as npm does.
#[test]
fn long_paths_are_read_in_both_forms() {
    let long = format!("package/{}/a.js", "x".repeat(150));
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(1);
    header.set_mode(0o644);
    builder.append_data(&mut header, &long, &b"1"[..]).unwrap();
    let path = format!("package/{}/b.js", "y".repeat(150));
    builder.append_pax_extensions([("comment", &b"any"[..]), ("path", path.as_bytes())]).unwrap();
    let mut header = tar::Header::new_ustar();
    header.set_path("package/short.js").unwrap();
    header.set_size(1);
    header.set_mode(0o644);
    header.set_cksum();
    builder.append(&header, &b"2"[..]).unwrap();
    header.set_path("package/c.js").unwrap();
    header.set_cksum();
    builder.append(&header, &b"3"[..]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let archive = packed(&builder.into_inner().unwrap());
    let size = unpack(archive.as_slice(), folder.path(), &mut Allowance::new(1 << 20), &Stop::default());
    assert_eq!(size.unwrap(), 3);
    let read = |path: String| fs::read_to_string(folder.path().join(path)).unwrap();
    assert_eq!(read(format!("{}/a.js", "x".repeat(150))), "1");
    assert_eq!(read(format!("{}/b.js", "y".repeat(150))), "2");
    assert_eq!(read("c.js".into()), "3");
}

/// A few KiB that would have become tens of thousands of files and folders.
#[test]
fn what_a_file_system_keeps_is_charged() {
    let names: Vec<String> = (0..3_000).map(|n| format!("package/{n:x}/{n:x}/{n:x}/{n:x}")).collect();
    let files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b""[..])).collect();
    let folder = tempfile::tempdir().unwrap();
    let archive = archive(&files);
    assert!(archive.len() < 100_000, "{}", archive.len());
    let mut allowance = Allowance::new(4 << 20);
    let error = unpack(archive.as_slice(), folder.path(), &mut allowance, &Stop::default()).unwrap_err();
    assert!(matches!(error, TarballError::TooLarge(4)), "{error}");
    assert!(fs::read_dir(folder.path()).unwrap().count() <= 1_024 / 3 + 1);
    survive(&archive);

    let empty: Vec<(&str, &[u8])> = vec![("package/a", b""); 3_000];
    assert!(matches!(unpacked(&empty, 1 << 20).unwrap_err(), TarballError::TooLarge(1)));
    let links: Vec<(&str, &[u8])> = vec![("package/a.d.ts", b""); 3_000];
    assert!(
        matches!(unpacked(&links, 1 << 20).unwrap_err(), TarballError::TooLarge(1)),
        "also what is left out"
    );

    let deep = format!("package/{}x", "a/".repeat(40));
    let error = unpacked(&[(&deep, b"")], 100_000).unwrap_err();
    assert!(matches!(error, TarballError::TooDeep(_)), "{error}");
    let fine = format!("package/{}x", "a/".repeat(30));
    assert!(unpacked(&[(&fine, b"")], 1 << 20).is_ok());
}

/// A header's extension is kept in memory, so that it must not be large.
#[test]
fn long_extensions_are_refused() {
    for kind in [EntryType::GNULongName, EntryType::XHeader] {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(8 << 20);
        header.set_cksum();
        builder.append(&header, io::repeat(b'x').take(8 << 20)).unwrap();
        let archive = packed(&builder.into_inner().unwrap());
        let folder = tempfile::tempdir().unwrap();
        let mut allowance = Allowance::new(64 << 20);
        let error = unpack(archive.as_slice(), folder.path(), &mut allowance, &Stop::default()).unwrap_err();
        assert!(error.to_string().contains("larger than 64 KiB"), "{error}");
    }
}

/// Hands out an archive, and stops the unpacking after so many bytes.
struct StopsAt<'a> {
    rest: &'a [u8],
    bytes: usize,
    stop: &'a Stop,
}

impl Read for StopsAt<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(1_024);
        let read = self.rest.read(&mut buffer[..most])?;
        self.bytes = self.bytes.saturating_sub(read);
        if self.bytes == 0 {
            self.stop.set();
        }
        Ok(read)
    }
}

#[test]
fn unpacking_ends_where_nobody_waits_for_it() {
    let content: Vec<u8> =
        (0..60_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let files: Vec<(String, &[u8])> = (0..10).map(|n| (format!("package/{n}"), content.as_slice())).collect();
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, content)| (name.as_str(), *content)).collect();
    let archive = archive(&files);
    let (folder, stop) = (tempfile::tempdir().unwrap(), Stop::default());
    let reader = StopsAt { rest: &archive, bytes: archive.len() / 2, stop: &stop };
    let error = unpack(reader, folder.path(), &mut Allowance::new(64 << 20), &stop).unwrap_err();
    assert!(matches!(error, TarballError::Stopped), "{error}");
    let written = fs::read_dir(folder.path()).unwrap().count();
    assert!((1..10).contains(&written), "{written}");
    let error = unpack(archive.as_slice(), folder.path(), &mut Allowance::new(64 << 20), &stop).unwrap_err();
    assert!(matches!(error, TarballError::Stopped), "{error}");
}
