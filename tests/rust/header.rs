//! The raw bindings against the header that they are of, by a C compiler: every function is declared
//! once more with the types that Rust gives it, and every struct and constant measured.

use std::collections::BTreeSet;
use std::fs;
use std::mem::offset_of;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use rank_relax_sys as sys;

const BINDINGS: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/lib.rs"));

fn header() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../c/include/rank_relax.h")
}

/// Whether a C compiler takes the text after the header.
fn compiles(text: &str) -> bool {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("header-{}.c", NEXT.fetch_add(1, Ordering::Relaxed));
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&file, format!("#include <stddef.h>\n#include \"rank_relax.h\"\n{text}\n")).unwrap();
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let output = Command::new(compiler)
        .args(["-std=c11", "-Werror", "-fsyntax-only", "-I"])
        .arg(header().parent().unwrap())
        .arg(&file)
        .output()
        .expect("a C compiler");
    if !output.status.success() {
        eprintln!("{}", String::from_utf8_lossy(&output.stderr));
    }
    output.status.success()
}

fn c_type(rust: &str) -> String {
    let rust = rust.trim();
    if let Some(pointee) = rust.strip_prefix("*const ") {
        return format!("{} const*", c_type(pointee));
    }
    if let Some(pointee) = rust.strip_prefix("*mut ") {
        return format!("{}*", c_type(pointee));
    }
    match rust {
        "i32" => "int32_t",
        "i64" => "int64_t",
        "u32" => "uint32_t",
        "usize" => "size_t",
        "f64" => "double",
        "c_char" => "char",
        "c_void" => "void",
        name => {
            assert!(name.starts_with("rank_relax_"), "no C type is known for {name}");
            name
        }
    }
    .to_owned()
}

/// The functions of the bindings as C declares them: names, and declarations.
fn functions(bindings: &str) -> Vec<(String, String)> {
    let block = bindings.split("extern \"C\" {").last().unwrap();
    block
        .split("pub fn ")
        .skip(1)
        .map(|text| {
            let (name, rest) = text.split_once('(').unwrap();
            let (parameters, rest) = rest.split_once(')').unwrap();
            let types: Vec<_> = parameters
                .split(',')
                .filter_map(|parameter| parameter.split_once(':'))
                .map(|(_, rust)| c_type(rust))
                .collect();
            let result = rest.split(';').next().unwrap().trim();
            let result = result.strip_prefix("->").map_or("void".to_owned(), c_type);
            let parameters = if types.is_empty() { "void".to_owned() } else { types.join(", ") };
            (name.to_owned(), format!("{result} {name}({parameters});"))
        })
        .collect()
}

fn declarations(bindings: &str) -> String {
    functions(bindings).into_iter().map(|(_, declaration)| declaration + "\n").collect()
}

#[test]
fn every_function_has_the_types_of_the_header() {
    assert!(compiles(&declarations(BINDINGS)));
}

#[test]
fn a_wrong_type_is_found() {
    for (right, wrong) in [
        ("transposed: i32", "transposed: i64"),
        ("order: i32,\n        options", "order: usize,\n        options"),
        ("losses: *mut f64", "losses: *const f64"),
        (") -> f64;", ") -> i32;"),
        ("directions: *const *const", "directions: *const *mut"),
    ] {
        assert!(BINDINGS.contains(right));
        assert!(!compiles(&declarations(&BINDINGS.replacen(right, wrong, 1))), "{wrong}");
    }
}

#[test]
fn the_functions_are_those_of_the_header() {
    let text = fs::read_to_string(header()).unwrap();
    let declared: BTreeSet<_> = text
        .lines()
        .filter(|line| line.starts_with(|first: char| first.is_ascii_lowercase()))
        .filter(|line| !line.starts_with("typedef"))
        .filter_map(|line| line.split_once('('))
        .map(|(before, _)| before.rsplit([' ', '*']).next().unwrap().to_owned())
        .collect();
    let bound: BTreeSet<_> = functions(BINDINGS).into_iter().map(|(name, _)| name).collect();
    assert!(declared.len() > 15);
    assert_eq!(bound, declared);
}

macro_rules! layout {
    ($($type:ident { $($field:ident $(= $c_name:ident)?),* })*) => {{
        let mut checks = String::new();
        $(
            checks += &format!(
                "_Static_assert(sizeof({0}) == {1} && _Alignof({0}) == {2}, \"{0}\");\n",
                stringify!($type), size_of::<sys::$type>(), align_of::<sys::$type>());
            $(
                let name = [stringify!($field), $(stringify!($c_name))?].last().copied().unwrap();
                checks += &format!(
                    "_Static_assert(offsetof({0}, {name}) == {1}, \"{0}.{name}\");\n",
                    stringify!($type), offset_of!(sys::$type, $field));
            )*
            let of_type = BINDINGS.split(concat!("pub struct ", stringify!($type), " {")).nth(1);
            let fields = of_type.unwrap().split('}').next().unwrap().matches("pub ").count();
            assert_eq!(fields, [$(stringify!($field)),*].len(), "every field is measured");
        )*
        checks
    }};
}

#[test]
fn structs_lie_in_memory_as_in_c() {
    let checks = layout! {
        rank_relax_tensor { data, device, ndim, dtype, shape, strides, byte_offset }
        rank_relax_options {
            struct_size, regularization_strength, method, mask, offsets, parallel_for,
            parallel_context, cuda_stream, workspace, workspace_size
        }
        rank_relax_points {
            struct_size, points, values, weights, point_offsets, value_keys, point_keys, order
        }
    };
    assert!(compiles(&checks));
    assert!(!compiles(&checks.replacen("== 0", "== 1", 1)), "a wrong offset is found");

    // The two structs without a name, by their fields.
    let [type_, id] =
        [offset_of!(sys::rank_relax_device, type_), offset_of!(sys::rank_relax_device, id)];
    let device = offset_of!(sys::rank_relax_tensor, device);
    let dtype = offset_of!(sys::rank_relax_tensor, dtype);
    let in_tensor = [
        ("device.type", device + type_),
        ("device.id", device + id),
        ("dtype.code", dtype + offset_of!(sys::rank_relax_dtype, code)),
        ("dtype.bits", dtype + offset_of!(sys::rank_relax_dtype, bits)),
        ("dtype.lanes", dtype + offset_of!(sys::rank_relax_dtype, lanes)),
    ];
    let checks: String = in_tensor
        .iter()
        .map(|(field, offset)| {
            format!("_Static_assert(offsetof(rank_relax_tensor, {field}) == {offset}, \"\");\n")
        })
        .collect();
    assert!(compiles(&checks));
}

#[test]
fn constants_are_those_of_the_header() {
    let constants = [
        ("RANK_RELAX_VERSION", i64::from(sys::RANK_RELAX_VERSION)),
        ("RANK_RELAX_OK", sys::RANK_RELAX_OK.into()),
        ("RANK_RELAX_INVALID_ARGUMENT", sys::RANK_RELAX_INVALID_ARGUMENT.into()),
        ("RANK_RELAX_OUT_OF_MEMORY", sys::RANK_RELAX_OUT_OF_MEMORY.into()),
        ("RANK_RELAX_UNSUPPORTED", sys::RANK_RELAX_UNSUPPORTED.into()),
        ("RANK_RELAX_DEVICE_ERROR", sys::RANK_RELAX_DEVICE_ERROR.into()),
        ("RANK_RELAX_INTERNAL_ERROR", sys::RANK_RELAX_INTERNAL_ERROR.into()),
    ];
    let checks: String = constants
        .iter()
        .map(|(name, value)| format!("_Static_assert({name} == {value}, \"{name}\");\n"))
        .collect();
    assert!(compiles(&checks));
    let text = fs::read_to_string(header()).unwrap();
    let statuses = text.lines().filter(|line| line.starts_with("  RANK_RELAX_")).count();
    assert_eq!(statuses + 1, constants.len(), "every status has its constant");
    assert_eq!(unsafe { sys::rank_relax_version() }, sys::RANK_RELAX_VERSION);
}

#[test]
fn default_options_are_those_of_no_options() {
    let x = [0.3, 2.0, -1.0];
    let mut shape = [3_i64];
    let mut ranks = [[0.0; 3]; 2];
    let mut tensor = |data: *mut f64| sys::rank_relax_tensor {
        data: data.cast(),
        device: sys::rank_relax_device { type_: 1, id: 0 },
        ndim: 1,
        dtype: sys::rank_relax_dtype { code: 2, bits: 64, lanes: 1 },
        shape: shape.as_mut_ptr(),
        strides: std::ptr::null_mut(),
        byte_offset: 0,
    };
    let input = tensor(x.as_ptr().cast_mut());
    let outputs = [tensor(ranks[0].as_mut_ptr()), tensor(ranks[1].as_mut_ptr())];
    unsafe {
        let options = &sys::RANK_RELAX_OPTIONS;
        assert_eq!(sys::rank_relax_soft_rank(&input, options, &outputs[0]), sys::RANK_RELAX_OK);
        let none = std::ptr::null();
        assert_eq!(sys::rank_relax_soft_rank(&input, none, &outputs[1]), sys::RANK_RELAX_OK);
    }
    assert_eq!(ranks[0], ranks[1]);
    assert!((ranks[0][1] - 0.8991).abs() < 1e-4);
}
