#include "cpu/compiled/inverse.h"
