//! Where tensors live: opening a device, its options, and the doors between its memory and slices.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use tch::{Device, Kind, TchError, Tensor};

use dal_core::model::SpecError;

/// Version of libtorch that this engine is built against; the build refuses any other.
const LIBTORCH: &str = "2.11.0";

/// Raised when the order of an epoch's operations changes, so that its rounding may.
const OPERATIONS: &str = "members-3";

/// A device of libtorch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum TchDevice {
    /// The processor.
    #[default]
    Cpu,
    /// The CUDA device of this number.
    Cuda(usize),
}

impl TchDevice {
    pub(super) fn device(self) -> Device {
        match self {
            Self::Cpu => Device::Cpu,
            Self::Cuda(n) => Device::Cuda(n),
        }
    }
}

impl fmt::Display for TchDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => write!(f, "cpu"),
            Self::Cuda(n) => write!(f, "cuda:{n}"),
        }
    }
}

impl FromStr for TchDevice {
    type Err = TchSetupError;

    /// `cpu`, `cuda` (the first one) or `cuda:N`.
    fn from_str(text: &str) -> Result<Self, TchSetupError> {
        let number = match text {
            "cpu" => return Ok(Self::Cpu),
            "cuda" => Some(0),
            _ => text.strip_prefix("cuda:").and_then(|n| n.parse().ok()),
        };
        number.map(Self::Cuda).ok_or_else(|| TchSetupError::DeviceName { found: text.to_owned() })
    }
}

/// How the engine runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TchOptions {
    /// Where tensors live.
    pub device: TchDevice,
    /// On the CPU: operating-system threads, each training a share of the members with single-threaded libtorch calls
    /// (its own thread setting is process-wide and becomes 1). Other devices are fed by the calling thread.
    pub threads: usize,
    /// On CUDA: matrix products of f32 in TF32 (ten bits of mantissa). Process-wide once switched on.
    pub tf32: bool,
    /// Operands of the training's matrix products rounded to bfloat16 (seven bits of mantissa); everything else stays
    /// f32.
    pub bf16: bool,
    /// Bytes that the members trained together may need, estimated; fewer members are trained at once where it would be
    /// more. `None`: what suits the device (on the CPU 16 MiB, on CUDA 8 GiB). Where a device runs out of memory all
    /// the same, the number is halved.
    pub memory: Option<usize>,
}

impl Default for TchOptions {
    /// The CPU, one thread, full precision.
    fn default() -> Self {
        Self { device: TchDevice::Cpu, threads: 1, tf32: false, bf16: false, memory: None }
    }
}

/// Why the engine cannot be set up.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TchSetupError {
    /// The description of the training is invalid.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// A device's name is not one of those known.
    #[error("{found:?} is no device; known are cpu, cuda and cuda:N")]
    DeviceName {
        /// What was written.
        found: String,
    },
    /// The device is not there.
    #[error("there is no device {device}: libtorch sees {found} CUDA devices")]
    NoDevice {
        /// The device asked for.
        device: TchDevice,
        /// CUDA devices that libtorch sees.
        found: usize,
    },
    /// An option that the device cannot honour.
    #[error("device {device} has no {option}: {why}")]
    Unsupported {
        /// `tf32` or `bf16`.
        option: &'static str,
        /// The device.
        device: TchDevice,
        /// What is missing.
        why: &'static str,
    },
    /// The device failed while something was brought to it.
    #[error("{message}")]
    Device {
        /// What libtorch said.
        message: String,
    },
    /// A library could not be loaded.
    #[error("{} cannot be loaded: {message}", path.display())]
    Library {
        /// The library.
        path: PathBuf,
        /// What the loader said.
        message: String,
    },
}

impl TchOptions {
    /// Checks that the device is there and can do what is asked for, and prepares it.
    ///
    /// # Errors
    /// [`TchSetupError::NoDevice`], [`TchSetupError::Unsupported`].
    pub(super) fn open(&self) -> Result<(), TchSetupError> {
        if let TchDevice::Cuda(n) = self.device {
            let found =
                if tch::Cuda::is_available() { usize::try_from(tch::Cuda::device_count()).unwrap_or(0) } else { 0 };
            if n >= found {
                return Err(TchSetupError::NoDevice { device: self.device, found });
            }
        }
        let unsupported = |option, why| Err(TchSetupError::Unsupported { option, device: self.device, why });
        if self.tf32 {
            if self.device == TchDevice::Cpu {
                return unsupported("tf32", "it is a format of CUDA devices");
            }
            if !allow_tf32() {
                return unsupported("tf32", "its switch is known on Linux only");
            }
        }
        if self.bf16 && self.device == TchDevice::Cpu && !processor_has_bf16() {
            return unsupported("bf16", "the processor has no instructions for it");
        }
        Ok(())
    }
}

/// Whether the processor multiplies bfloat16 itself.
fn processor_has_bf16() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        std::arch::is_x86_feature_detected!("avx512bf16")
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        false
    }
}

/// Switches TF32 on for the process; false where this build does not know how.
fn allow_tf32() -> bool {
    #[cfg(target_os = "linux")]
    {
        // tch has no door to this switch. Both functions are part of libtorch's C++ interface, whose version is pinned.
        unsafe extern "C" {
            #[link_name = "_ZN2at13globalContextEv"]
            fn global_context() -> *mut std::ffi::c_void;
            #[link_name = "_ZN2at7Context18setAllowTF32CuBLASEb"]
            fn set_allow_tf32(context: *mut std::ffi::c_void, allow: bool);
        }
        // SAFETY: `at::globalContext()` returns a reference to a static object, and
        // `at::Context::setAllowTF32CuBLAS(bool)` is a member function without result: under the C++ ABI of Linux they
        // are called like these two. It does not throw for a plain flag.
        unsafe { set_allow_tf32(global_context(), true) };
        true
    }
    #[cfg(not(target_os = "linux"))]
    {
        false
    }
}

/// Loads libtorch's CUDA backend (`libtorch_cuda.so` of a CUDA installation of the same version) into the process. It
/// must happen before the first question about a CUDA device; a build against a CUDA libtorch needs it not.
///
/// # Errors
/// [`TchSetupError::Library`] where the file is not there or does not load.
#[cfg(unix)]
pub fn load_cuda_backend(path: &Path) -> Result<(), TchSetupError> {
    use std::ffi::{CStr, CString, c_char, c_int, c_void};
    use std::os::unix::ffi::OsStrExt;
    unsafe extern "C" {
        fn dlopen(name: *const c_char, flags: c_int) -> *mut c_void;
        fn dlerror() -> *mut c_char;
    }
    /// `RTLD_NOW | RTLD_GLOBAL` of Linux; macOS has no CUDA.
    const NOW_GLOBAL: c_int = 0x102;
    let failed = |message: String| TchSetupError::Library { path: path.to_owned(), message };
    let name = CString::new(path.as_os_str().as_bytes()).map_err(|error| failed(error.to_string()))?;
    // SAFETY: the name is a C string that lives through the call. Initialisers of the library run; loading libtorch's
    // own is what the caller asks for. `dlerror` returns a C string of the calling thread, or null.
    unsafe {
        if dlopen(name.as_ptr(), NOW_GLOBAL).is_null() {
            let error = dlerror();
            let message = if error.is_null() {
                "no reason given".to_owned()
            } else {
                CStr::from_ptr(error).to_string_lossy().into_owned()
            };
            return Err(failed(message));
        }
    }
    Ok(())
}

/// What results depend on besides specification and seeds: library, device, instruction set, precision, and the order
/// of operations. Grouping of trials may change rounding beyond it.
///
/// ```
/// use dal_nn::{TchOptions, tch_platform};
///
/// assert!(tch_platform(&TchOptions::default()).starts_with("tch/2.11.0/cpu"));
/// ```
pub fn tch_platform(options: &TchOptions) -> String {
    let device = match options.device {
        TchDevice::Cpu => format!("cpu-{}-{}", std::env::consts::ARCH, crate::platform::vector_path()),
        TchDevice::Cuda(_) => "cuda".to_owned(),
    };
    let tf32 = if options.tf32 { "/tf32" } else { "" };
    let bf16 = if options.bf16 { "/bf16" } else { "" };
    format!("tch/{LIBTORCH}/{device}{tf32}{bf16}/{OPERATIONS}")
}

/// What an operation in place or into a given tensor hands back, a second handle of that tensor, is not needed.
pub(super) trait Done {
    fn done(self) -> Result<(), TchError>;
}

impl Done for Result<Tensor, TchError> {
    fn done(self) -> Result<(), TchError> {
        self.map(drop)
    }
}

/// Tensors come from and go to slices here.
#[derive(Debug, Clone, Copy)]
pub(super) struct Memory(pub Device);

impl Memory {
    pub fn upload<T: tch::kind::Element>(self, values: &[T], shape: &[i64]) -> Result<Tensor, TchError> {
        Tensor::f_from_slice(values)?.f_view(shape)?.f_to_device(self.0)
    }

    pub fn zeros(self, shape: &[i64]) -> Result<Tensor, TchError> {
        Tensor::f_zeros(shape, (Kind::Float, self.0))
    }

    pub fn ones(self, shape: &[i64]) -> Result<Tensor, TchError> {
        Tensor::f_ones(shape, (Kind::Float, self.0))
    }

    pub fn is_host(self) -> bool {
        self.0 == Device::Cpu
    }
}

/// A tensor's values in row-major order.
pub(super) fn download<T: tch::kind::Element + Copy + Default>(tensor: &Tensor) -> Result<Vec<T>, TchError> {
    let tensor = tensor.f_to_device(Device::Cpu)?.f_contiguous()?;
    let mut values = vec![T::default(); tensor.numel()];
    let n = values.len();
    tensor.f_copy_data(&mut values, n)?;
    Ok(values)
}

/// The memory of a contiguous f32 tensor on the processor; `None` of any other.
pub(super) fn host_slice(tensor: &mut Tensor) -> Option<&mut [f32]> {
    if tensor.device() != Device::Cpu || tensor.kind() != Kind::Float || !tensor.is_contiguous() {
        return None;
    }
    let (at, n) = (tensor.data_ptr().cast::<f32>(), tensor.numel());
    if n == 0 {
        return Some(&mut []);
    }
    // SAFETY: a contiguous tensor of `n` f32 on the processor, which the exclusive borrow keeps alive. Other tensors
    // may share its storage, but no operation of libtorch runs while this slice is borrowed: they run on this thread,
    // and what the threads of this engine work on is disjoint.
    Some(unsafe { std::slice::from_raw_parts_mut(at, n) })
}

/// Whether an operation failed for want of memory.
pub(super) fn is_out_of_memory(error: &TchError) -> bool {
    let text = error.to_string();
    text.contains("out of memory")
        || text.contains("can't allocate memory")
        || text.contains("CUBLAS_STATUS_ALLOC_FAILED")
}
