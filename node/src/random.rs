//! Random bytes from the operating system.

/// As many as are asked for.
///
/// # Panics
///
/// Where the operating system has none.
pub(crate) fn random<const BYTES: usize>() -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    let source = rustls::crypto::ring::default_provider().secure_random;
    source.fill(&mut bytes).expect("the operating system has random numbers");
    bytes
}
