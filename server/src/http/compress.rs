//! Optional gzip of read answers (protocol.md §4.5).

use std::io::Write;

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::{HeaderMap, header};

/// Shorter bodies do not gain. Units: bytes.
pub(crate) const MIN_LEN: u64 = 1024;
/// Longer bodies are compressed off the connection's thread. Units: bytes.
const OFFLOAD_LEN: u64 = 128 * 1024;
/// How much of a long body is tried first. Units: bytes.
const SAMPLE: usize = 8 * 1024;

/// Whether the client takes gzip: named, or `*`, and not with `q=0`.
pub(crate) fn is_accepted(request: &HeaderMap) -> bool {
    let mut by_star = false;
    for value in request.get_all(header::ACCEPT_ENCODING) {
        for item in value.to_str().unwrap_or_default().split(',') {
            let (coding, parameters) = item.split_once(';').unwrap_or((item, ""));
            let weight = parameters.trim().strip_prefix("q=").and_then(|q| q.trim().parse::<f32>().ok()).unwrap_or(1.0);
            match coding.trim() {
                coding if coding.eq_ignore_ascii_case("gzip") || coding.eq_ignore_ascii_case("x-gzip") => {
                    return weight > 0.0;
                }
                "*" => by_star = weight > 0.0,
                _ => {}
            }
        }
    }
    by_star
}

/// Whether a type is worth compressing: media and archives are compressed already, and of
/// arbitrary bytes nobody knows; trying them costs far more than a network of this century.
pub(crate) fn is_worthwhile(content_type: &str) -> bool {
    let media = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let (kind, subtype) = media.split_once('/').unwrap_or((&media, ""));
    match kind {
        "image" => subtype.ends_with("+xml") || subtype == "bmp",
        "audio" | "video" | "font" => false,
        _ => !matches!(
            subtype,
            "octet-stream" | "zip" | "gzip" | "x-gzip" | "zstd" | "x-7z-compressed" | "x-bzip2" | "x-xz" | "pdf"
        ),
    }
}

/// The gzip form of a body; `None` when it is no shorter.
/// Units: `len` is the total length of the pieces in bytes.
pub(crate) async fn gzip(pieces: Vec<Bytes>, len: u64) -> Option<Bytes> {
    if len >= 2 * SAMPLE as u64 && !is_compressible(&pieces) {
        return None;
    }
    if len < OFFLOAD_LEN {
        return gzip_now(&pieces, len);
    }
    tokio::task::spawn_blocking(move || gzip_now(&pieces, len)).await.ok().flatten()
}

/// Whether a sample from the first piece shrinks noticeably: encrypted or compressed
/// data is not worth the time of the whole.
fn is_compressible(pieces: &[Bytes]) -> bool {
    let Some(first) = pieces.iter().find(|piece| piece.len() > 1) else { return true };
    let sample = first.slice(..first.len().min(SAMPLE));
    let len = sample.len() as u64;
    gzip_now(&[sample], len).is_some_and(|encoded| encoded.len() as u64 <= len - len / 10)
}

fn gzip_now(pieces: &[Bytes], len: u64) -> Option<Bytes> {
    let capacity = usize::try_from(len / 2).unwrap_or_default();
    let mut encoder = GzEncoder::new(Vec::with_capacity(capacity), Compression::fast());
    for piece in pieces {
        encoder.write_all(piece).ok()?;
    }
    let encoded = encoder.finish().ok()?;
    ((encoded.len() as u64) < len).then(|| encoded.into())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use http::HeaderValue;

    use super::*;

    #[test]
    fn clients_choose_by_name_star_and_weight() {
        for (value, accepted) in [
            ("gzip", true),
            ("deflate, GZIP;q=0.5", true),
            ("gzip;q=0", false),
            ("gzip; q=0.000, *", false),
            ("*", true),
            ("*;q=0", false),
            ("br", false),
            ("", false),
        ] {
            let map = HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(value))]);
            assert_eq!(is_accepted(&map), accepted, "{value:?}");
        }
        assert!(!is_accepted(&HeaderMap::new()));
    }

    #[tokio::test]
    async fn what_does_not_shrink_is_sent_as_it_is() {
        // A multiplicative walk over 64 bits passes for noise.
        let mut state = 1_u64;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state.to_be_bytes()[0]
        })
        .take(100_000)
        .collect();
        assert_eq!(gzip(vec![Bytes::from(noise)], 100_000).await, None);
        assert!(gzip(vec![Bytes::from_static(&[7; 100_000])], 100_000).await.is_some());
    }

    #[test]
    fn pieces_come_back_as_one_body() {
        let pieces = vec![Bytes::from(vec![b'a'; 4000]), Bytes::from(vec![b'b'; 4000])];
        let encoded = gzip_now(&pieces, 8000).expect("shorter");
        let mut decoded = Vec::new();
        flate2::read::GzDecoder::new(&*encoded).read_to_end(&mut decoded).expect("valid gzip");
        assert_eq!(decoded, pieces.concat());
    }
}
