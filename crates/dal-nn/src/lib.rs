//! Neural surrogates: ensembles of small networks, trained fast on the CPU
