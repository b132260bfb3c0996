//! Somebody who gets every image that goes to a client, e.g. to send it to an archive as well.

use std::fmt;

use ismrmrd::Image;

/// Gets every image as the client gets it. It is called while the image is sent: it must not wait.
pub trait ImageTap: Send + Sync + fmt::Debug {
    /// An image of a session; `header_text` gives the measurement's header as it was sent.
    fn take(&self, session: u64, header_text: &dyn Fn() -> String, image: &Image);

    /// The session has ended.
    fn end(&self, session: u64);
}
