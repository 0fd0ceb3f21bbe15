#pragma once

/// Whether the wider instruction sets are compiled too. RANK_RELAX_PORTABLE leaves the baseline
/// alone, as other machines and compilers have it.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(RANK_RELAX_PORTABLE)
#define RANK_RELAX_X86 1
#endif
