"use strict";
setUp();
