//! The list of engines that train ensembles of networks.

use dal_core::EngineCard;
#[cfg(not(feature = "tch"))]
use dal_core::SettingError;
use dal_core::model::MLP_ENSEMBLE;

use crate::engine::{CPU, TCH_ID};

/// The engines of this crate.
pub static ENGINES: &[EngineCard] = &[CPU, TCH];

/// The engine on libtorch; in a build without the feature `tch` it says how to get one.
pub const TCH: EngineCard = EngineCard {
    id: TCH_ID,
    kinds: &[MLP_ENSEMBLE],
    title: "libtorch, many trials in lock step, on the processor or a CUDA device",
    #[cfg(feature = "tch")]
    open: |choice, clock| Ok(std::sync::Arc::new(crate::tch::TchEngine::on(choice, clock)?)),
    #[cfg(not(feature = "tch"))]
    open: |_, _| {
        let error = SettingError::new("engine", "the engine `tch` is not part of this build");
        Err(error.with_hint(
            "build it in with `cargo xtask libtorch` and `cargo build --release -p dal-cli --features tch` (docs/gpu.md)",
        ))
    },
};
