//! Where a URL leads.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreScheme};
use url::Url;

use crate::archives::invalid;

/// A store, and the beginning of the names there.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) prefix: Path,
}

/// Opens the store of a URL; `None` for what is no URL of an object store.
pub(crate) fn open(
    location: &str,
    options: &[(String, String)],
    attempt_timeout: Duration,
) -> Option<io::Result<Place>> {
    let (kind, _) = location.split_once("://")?;
    let url = match Url::parse(location) {
        Ok(url) => url,
        // The reason may repeat what is in the URL.
        Err(_) if is_known(kind) => return Some(Err(invalid("it is no URL of an object store"))),
        Err(_) => return None,
    };
    if kind == "memory" {
        let message = "what is archived in memory is gone with the process; give a store by `ObjectArchives::store` \
            where that is meant";
        return Some(Err(io::Error::new(io::ErrorKind::Unsupported, message)));
    }
    let (scheme, prefix) = match ObjectStoreScheme::parse(&url) {
        Ok(parsed) => parsed,
        Err(_) if is_known(kind) => return Some(Err(invalid("it is no URL of an object store"))),
        Err(_) => return None,
    };
    let opened = opened(&scheme, &url, options, attempt_timeout)?;
    Some(opened.map(|store| Place { store, prefix }))
}

fn is_known(kind: &str) -> bool {
    matches!(
        kind,
        "s3" | "s3a" | "gs" | "az" | "adl" | "azure" | "abfs" | "abfss"
    )
}

/// How a store is made whose builder this is. Options that it does not know are those of others.
#[cfg(any(feature = "aws", feature = "azure", feature = "gcp", feature = "http"))]
macro_rules! built {
    ($builder:ty, $url:expr, $options:expr, $attempt_timeout:expr) => {{
        chosen_provider();
        let client = object_store::ClientOptions::new().with_timeout($attempt_timeout / 10 * 9);
        let builder = <$builder>::new().with_url($url).with_client_options(client);
        let with_options = $options.iter().fold(builder, |builder, (name, value)| {
            match name.to_ascii_lowercase().parse() {
                Ok(key) => builder.with_config(key, value),
                Err(_) => builder,
            }
        });
        let built = with_options.with_retry(retries($attempt_timeout)).build();
        built
            .map(|store| Arc::new(store) as Arc<dyn ObjectStore>)
            .map_err(crate::failure::told)
    }};
}

/// Opens a store of this kind; `None` where it is none of an archive.
#[cfg_attr(
    not(any(feature = "aws", feature = "azure", feature = "gcp", feature = "http")),
    expect(unused_variables, reason = "nothing is opened without a feature")
)]
fn opened(
    scheme: &ObjectStoreScheme,
    url: &Url,
    options: &[(String, String)],
    attempt_timeout: Duration,
) -> Option<io::Result<Arc<dyn ObjectStore>>> {
    Some(match scheme {
        #[cfg(feature = "aws")]
        ObjectStoreScheme::AmazonS3 => {
            built!(
                object_store::aws::AmazonS3Builder,
                url.as_str(),
                options,
                attempt_timeout
            )
        }
        #[cfg(not(feature = "aws"))]
        ObjectStoreScheme::AmazonS3 => Err(not_built("aws")),
        #[cfg(feature = "azure")]
        ObjectStoreScheme::MicrosoftAzure => {
            built!(
                object_store::azure::MicrosoftAzureBuilder,
                url.as_str(),
                options,
                attempt_timeout
            )
        }
        #[cfg(not(feature = "azure"))]
        ObjectStoreScheme::MicrosoftAzure => Err(not_built("azure")),
        #[cfg(feature = "gcp")]
        ObjectStoreScheme::GoogleCloudStorage => {
            built!(
                object_store::gcp::GoogleCloudStorageBuilder,
                url.as_str(),
                options,
                attempt_timeout
            )
        }
        #[cfg(not(feature = "gcp"))]
        ObjectStoreScheme::GoogleCloudStorage => Err(not_built("gcp")),
        #[cfg(feature = "http")]
        ObjectStoreScheme::Http => {
            let server = &url[..url::Position::BeforePath];
            built!(
                object_store::http::HttpBuilder,
                server,
                options,
                attempt_timeout
            )
        }
        #[cfg(not(feature = "http"))]
        ObjectStoreScheme::Http => Err(not_built("http")),
        _ => return None,
    })
}

#[cfg(not(all(feature = "aws", feature = "azure", feature = "gcp", feature = "http")))]
fn not_built(feature: &str) -> io::Error {
    let message = format!(
        "this program was built without such stores; they take the feature `{feature}` of annals-archive-object, \
        in the command annals its feature `object-stores`"
    );
    io::Error::new(io::ErrorKind::Unsupported, message)
}

/// How a store repeats a request that the server had no time for, within an attempt of ours. It ends before the
/// attempt does, as a request does, so that it can say why.
#[cfg(any(feature = "aws", feature = "azure", feature = "gcp", feature = "http"))]
fn retries(attempt_timeout: Duration) -> object_store::RetryConfig {
    object_store::RetryConfig {
        max_retries: 3,
        retry_timeout: attempt_timeout / 2,
        ..object_store::RetryConfig::default()
    }
}

/// Has rustls use ring, where nobody chose otherwise.
#[cfg(any(feature = "aws", feature = "azure", feature = "gcp", feature = "http"))]
fn chosen_provider() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Someone else may have been faster: that is a choice too.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
}
