#include "cpu/compiled/rank.h"
