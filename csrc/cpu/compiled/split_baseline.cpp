#include "cpu/compiled/split.h"
