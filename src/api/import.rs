//! stub
pub(super) fn endpoints() -> Vec<super::Endpoint> {
    Vec::new()
}
